from os import PathLike
from typing import Callable, List, Optional, Sequence, Tuple, Union

_Given = Union[Tuple[int, int, bytes], bytes, str, "PathLike[str]"]
_Numbers = Tuple[bytes, List[Optional[str]], List[str]]

class Model:
    def __new__(
        cls,
        path: Union[str, "PathLike[str]"],
        *,
        bands: Optional[Sequence[str]] = None,
        cube_bands: Optional[Sequence[str]] = None,
        profile: Optional[str] = None,
        unit: Optional[str] = None,
        zero_point: Optional[Sequence[float]] = None,
        pixel_scale: Optional[float] = None,
        resample: Optional[str] = None,
        precision: str = "auto",
        workers: Optional[int] = None,
    ) -> "Model": ...
    @property
    def classes(self) -> List[str]: ...
    @property
    def features_len(self) -> int: ...
    def table(
        self,
        ids: Sequence[str],
        pictures: Sequence[_Given],
        progress: Optional[Callable[[int], object]] = None,
    ) -> Tuple[bytes, List[str]]: ...
    def features(self, pictures: Sequence[_Given]) -> _Numbers: ...
    def heat(
        self, pictures: Sequence[_Given], answer: Optional[str] = None, drawn: bool = False
    ) -> Tuple[_Numbers, int]: ...
