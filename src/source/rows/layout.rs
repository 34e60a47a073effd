//! How a Parquet column holds images.
//!
//! | layout | column | who writes it |
//! | --- | --- | --- |
//! | encoded | binary: a JPEG, PNG or FITS file a row | anybody |
//! | encoded | `struct<bytes: binary, path: string>` | Hugging Face's `Image` |
//! | planes | `struct<band: list<string>, flux: list<list<list<float>>>>`, or a list of such structs | the Multimodal Universe |
//!
//! The planes' numbers are under `flux` or `array`, one 2-D array a band, rows
//! first. Further fields (inverse variance, masks) are not read.

use arrow::datatypes::{DataType, Field, Fields};

/// Columns that are taken for the images where none is named, before any
/// other: what data sets call theirs.
const USUAL_NAMES: [&str; 7] = ["image", "img", "rgb", "jpg", "jpeg", "png", "fits"];

/// Names of the numbers of a plane.
pub(super) const PLANES: [&str; 2] = ["flux", "array"];
/// Name of the planes' bands.
pub(super) const BAND: &str = "band";
/// Name of an image's file.
pub(super) const BYTES: &str = "bytes";

/// How a column holds images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageLayout {
    /// A file a row.
    Binary,
    /// A file a row, beside the path that it had.
    File,
    /// Lists of bands and planes.
    Planes,
    /// A list of structs of a band and its plane.
    PlaneList,
}

impl ImageLayout {
    /// The layout of a column of this type; `None` if it holds no images.
    pub fn of(column: &DataType) -> Option<Self> {
        match column {
            found if is_bytes(found) => Some(Self::Binary),
            DataType::Struct(fields) if has(fields, BYTES, is_bytes) => Some(Self::File),
            DataType::Struct(fields) if is_planes(fields, |t| item(t).map(Field::data_type)) => {
                Some(Self::Planes)
            }
            list => match item(list).map(Field::data_type) {
                Some(DataType::Struct(fields)) if is_planes(fields, Some) => Some(Self::PlaneList),
                _ => None,
            },
        }
    }

    /// The column of a table that holds its images: one with a usual name, or
    /// the only one that can.
    pub fn find(columns: &Fields) -> Option<(usize, Self)> {
        let images = || {
            let layouts = columns.iter().enumerate();
            layouts.filter_map(|(index, field)| Some((index, Self::of(field.data_type())?)))
        };
        let usual = USUAL_NAMES.iter().find_map(|name| {
            images().find(|(index, _)| columns[*index].name().eq_ignore_ascii_case(name))
        });
        usual.or_else(|| {
            // Plain bytes may be anything, an identifier or a hash.
            let mut told = images().filter(|(_, layout)| *layout != Self::Binary);
            told.next().filter(|_| told.next().is_none())
        })
    }

    /// Whether a leaf with this path is read for the image.
    pub(super) fn needs(self, leaf: &[String]) -> bool {
        let fields = || leaf.iter().skip(1).map(String::as_str);
        match self {
            Self::Binary => true,
            Self::File => fields().any(|field| field == BYTES),
            Self::Planes | Self::PlaneList => {
                fields().any(|field| field == BAND || PLANES.contains(&field))
            }
        }
    }
}

fn is_bytes(found: &DataType) -> bool {
    matches!(found, DataType::Binary | DataType::LargeBinary | DataType::BinaryView)
}

fn has(fields: &Fields, name: &str, is: impl Fn(&DataType) -> bool) -> bool {
    fields.iter().any(|field| field.name() == name && is(field.data_type()))
}

/// Whether a struct holds bands and planes, `inner` being what a field holds
/// of one band.
fn is_planes<'a>(fields: &'a Fields, inner: impl Fn(&'a DataType) -> Option<&'a DataType>) -> bool {
    let find = |name: &str| {
        let field = fields.iter().find(|field| field.name() == name)?;
        inner(field.data_type())
    };
    let rows = |plane| item(item(plane)?.data_type());
    let is_plane = |plane| rows(plane).is_some_and(|number| number.data_type().is_floating());
    find(BAND).is_some_and(DataType::is_string)
        && PLANES.iter().any(|name| find(name).is_some_and(is_plane))
}

/// What a list holds.
fn item(list: &DataType) -> Option<&Field> {
    match list {
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            Some(item)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(of: DataType) -> DataType {
        DataType::new_list(of, true)
    }

    fn structure(fields: Vec<(&str, DataType)>) -> DataType {
        DataType::Struct(fields.into_iter().map(|(n, t)| Field::new(n, t, true)).collect())
    }

    #[test]
    fn layouts_are_told_by_their_types() {
        use DataType::{Binary, Float32, Int32, LargeBinary, Utf8};
        let of = |t: &DataType| ImageLayout::of(t);
        assert_eq!(of(&LargeBinary), Some(ImageLayout::Binary));
        let hugging_face = structure(vec![("bytes", Binary), ("path", Utf8)]);
        assert_eq!(of(&hugging_face), Some(ImageLayout::File));
        let plane = || list(list(Float32));
        let planes = structure(vec![("band", list(Utf8)), ("flux", list(plane()))]);
        assert_eq!(of(&planes), Some(ImageLayout::Planes));
        let each = list(structure(vec![("band", Utf8), ("array", plane())]));
        assert_eq!(of(&each), Some(ImageLayout::PlaneList));
        let none = structure(vec![("band", list(Utf8)), ("flux", list(Float32))]);
        for other in [Utf8, Int32, none, structure(vec![("bytes", Utf8)]), plane()] {
            assert_eq!(of(&other), None, "{other}");
        }
        let leaf = |path: &[&str]| path.iter().map(|p| (*p).to_owned()).collect::<Vec<_>>();
        assert!(ImageLayout::Planes.needs(&leaf(&["image", "flux", "list", "element"])));
        assert!(!ImageLayout::Planes.needs(&leaf(&["flux", "ivar", "list", "element"])));
        assert!(!ImageLayout::File.needs(&leaf(&["image", "path"])));
    }

    #[test]
    fn the_usual_name_goes_first_and_one_of_several_is_not_guessed() {
        use DataType::{Binary, Int64};
        let file = || structure(vec![("bytes", Binary)]);
        let find = |names: &[(&str, DataType)]| {
            let fields: Fields =
                names.iter().map(|(n, t)| Field::new(*n, t.clone(), true)).collect();
            ImageLayout::find(&fields).map(|(index, _)| index)
        };
        assert_eq!(find(&[("id", Int64), ("mask", file()), ("rgb", file())]), Some(2));
        assert_eq!(find(&[("rgb", file()), ("Image", file())]), Some(1));
        assert_eq!(find(&[("blob", file()), ("hash", Binary)]), Some(0));
        assert_eq!(find(&[("a", file()), ("b", file())]), None);
        assert_eq!(find(&[("hash", Binary)]), None);
        assert_eq!(find(&[("image", Binary)]), Some(0));
    }
}
