from .clustering import Clusters as Clusters
from .clustering import clusters as clusters
from .clustering import measure_clusters as measure_clusters
from .partitions import Agreement as Agreement
from .permutation import Measure as Measure
from .quality import Quality as Quality
from .writing import LayerQuality as LayerQuality
