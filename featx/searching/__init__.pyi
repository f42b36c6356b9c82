from .neighbours import Neighbour as Neighbour
from .neighbours import QueryResult as QueryResult
from .page import cosine_text as cosine_text
from .page import counts_text as counts_text
from .result import SearchResult as SearchResult
from .searching import neighbours_of as neighbours_of
from .searching import search as search
