from .pixels import decode_dicom as decode_dicom
from .signature import frame_path as frame_path
from .signature import is_dicom as is_dicom
from .signature import mark_frame as mark_frame
from .signature import split_frame as split_frame
