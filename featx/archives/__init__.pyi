from .members import archive_of as archive_of
from .members import is_archive as is_archive
from .members import read_member as read_member
