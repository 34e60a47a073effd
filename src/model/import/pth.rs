//! Tensors of a PyTorch checkpoint in the zip format (PyTorch 1.6 and later).
//!
//! The archive holds a pickle that describes every tensor as a view of a
//! storage (offset, shape and strides), and one file a storage. candle reads
//! the pickle; the views are gathered here, because a view may have any
//! strides and candle's own reader takes contiguous ones only. Nothing in the
//! pickle is executed.

use std::collections::HashMap;
use std::io::{BufReader, Cursor, Read, Seek};

use candle_core::pickle::{Object, Stack};
use candle_core::{Device, Tensor};
use half::{bf16, f16};
use zip::ZipArchive;

/// Largest pickle that is parsed; B7's is half a megabyte.
const PICKLE_LIMIT: u64 = 64 << 20;

/// Most values of one tensor, and most bytes of one storage over eight. B7's
/// largest tensor has 6 million values; a view with strides of zero could ask
/// for any number.
const VALUES_LIMIT: usize = 1 << 28;

/// Where training scripts keep the weights among other things.
const KEYS: [&str; 6] = ["state_dict", "model_state_dict", "model", "net", "network", "weights"];

/// How deep the weights may lie.
const DEPTH: usize = 4;

/// The floating-point tensors of a checkpoint, in f32, by name.
///
/// # Errors
/// A phrase for a person: what is wrong with the file.
pub fn tensors(bytes: &[u8]) -> Result<Vec<(String, Tensor)>, String> {
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(|e| format!("zip: {e}"))?;
    let names: Vec<String> =
        archive.file_names().filter_map(|n| n.ok().map(|n| n.into_owned())).collect();
    let pickle = names
        .iter()
        .find(|n| *n == "data.pkl" || n.ends_with("/data.pkl"))
        .ok_or("the archive holds no data.pkl: not a PyTorch checkpoint")?;
    let folder = pickle.trim_end_matches("data.pkl");
    if names.contains(&format!("{folder}byteorder")) {
        let order = entry(&mut archive, &format!("{folder}byteorder"), 16)?;
        if order.trim_ascii() != b"little" {
            return Err("written on a big-endian machine, which is not supported".into());
        }
    }
    let description = entry(&mut archive, pickle, PICKLE_LIMIT)?;
    let mut stack = Stack::empty();
    stack
        .read_loop(&mut BufReader::new(description.as_slice()))
        .and_then(|()| stack.finalize())
        .map_or_else(|e| Err(format!("pickle: {e}")), |object| state(object, DEPTH))?
        .into_iter()
        .collect::<Views>()
        .gather(&mut archive, folder)
}

/// The bytes of an archive's entry of at most `limit`.
fn entry<R: Read + Seek>(
    archive: &mut ZipArchive<R>,
    name: &str,
    limit: u64,
) -> Result<Vec<u8>, String> {
    let file = archive.by_name(name).map_err(|e| format!("{name}: {e}"))?;
    let mut bytes = Vec::new();
    let read = file.take(limit + 1).read_to_end(&mut bytes).map_err(|e| format!("{name}: {e}"))?;
    if read as u64 > limit {
        return Err(format!("{name}: larger than {limit} bytes"));
    }
    Ok(bytes)
}

/// The dictionary of tensors in `object`: itself, or under one of [`KEYS`].
fn state(object: Object, depth: usize) -> Result<Vec<(String, View)>, String> {
    let absent = || "the checkpoint holds no dictionary of tensors".to_owned();
    let entries = match object {
        Object::Dict(entries) => entries,
        // An object whose attributes are a dictionary, such as a whole module.
        Object::Build { args, .. } if depth > 0 => return state(*args, depth - 1),
        _ => return Err(absent()),
    };
    let mut views = Vec::new();
    let mut inner: HashMap<String, Object> = HashMap::new();
    for (key, value) in entries {
        let Object::Unicode(key) = key else { continue };
        match view(value).map_err(|e| format!("tensor `{key}`: {e}"))? {
            Value::View(view) => views.push((key, view)),
            Value::Other(value) => drop(inner.insert(key, value)),
            Value::Integers => {}
        }
    }
    if !views.is_empty() {
        return Ok(views);
    }
    if depth > 0 {
        for key in KEYS {
            if let Some(object) = inner.remove(key)
                && let Ok(found) = state(object, depth - 1)
            {
                return Ok(found);
            }
        }
    }
    Err(absent())
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Element {
    F16,
    Bf16,
    F32,
    F64,
}

impl Element {
    fn size(self) -> usize {
        match self {
            Self::F16 | Self::Bf16 => 2,
            Self::F32 => 4,
            Self::F64 => 8,
        }
    }

    /// The value that starts at the first of `bytes`, little-endian.
    fn read(self, bytes: &[u8]) -> f32 {
        match (self, bytes) {
            (Self::F16, &[a, b, ..]) => f16::from_le_bytes([a, b]).to_f32(),
            (Self::Bf16, &[a, b, ..]) => bf16::from_le_bytes([a, b]).to_f32(),
            (Self::F32, &[a, b, c, d, ..]) => f32::from_le_bytes([a, b, c, d]),
            (Self::F64, &[a, b, c, d, e, f, g, h, ..]) => {
                f64::from_le_bytes([a, b, c, d, e, f, g, h]) as f32
            }
            // Views are checked against their storage before they are read.
            _ => f32::NAN,
        }
    }
}

/// A tensor as the pickle describes it. Sizes count elements.
#[derive(Debug)]
struct View {
    storage: String,
    element: Element,
    offset: usize,
    shape: Vec<usize>,
    strides: Vec<usize>,
}

enum Value {
    View(View),
    /// A tensor of integers, such as `num_batches_tracked`: no weight.
    Integers,
    Other(Object),
}

/// `value` as a tensor, if it is one.
fn view(value: Object) -> Result<Value, String> {
    let (class, args) = match value {
        Object::Reduce { callable, args } => match (*callable, *args) {
            (Object::Class { module_name, class_name }, Object::Tuple(args)) => {
                (format!("{module_name}.{class_name}"), args)
            }
            (callable, args) => {
                let (callable, args) = (Box::new(callable), Box::new(args));
                return Ok(Value::Other(Object::Reduce { callable, args }));
            }
        },
        other => return Ok(Value::Other(other)),
    };
    let mut args = args.into_iter();
    match class.as_str() {
        // (storage, offset, shape, strides, …)
        "torch._utils._rebuild_tensor_v2" => rebuild(args),
        // (tensor, requires_grad, hooks)
        "torch._utils._rebuild_parameter" => match args.next() {
            Some(tensor) => view(tensor),
            None => Err("a parameter without its tensor".into()),
        },
        // (rebuild, class, arguments of rebuild, state)
        "torch._tensor._rebuild_from_type_v2" => match (args.next(), args.nth(1)) {
            (Some(callable), Some(args)) => {
                view(Object::Reduce { callable: Box::new(callable), args: Box::new(args) })
            }
            _ => Err("a tensor subclass without its tensor".into()),
        },
        _ => Ok(Value::Other(Object::None)),
    }
}

/// The arguments of `_rebuild_tensor_v2`.
fn rebuild(mut args: impl Iterator<Item = Object>) -> Result<Value, String> {
    let malformed = || "its description is not PyTorch's".to_owned();
    let (Some(Object::PersistentLoad(storage)), Some(offset), Some(shape), Some(strides)) =
        (args.next(), args.next(), args.next(), args.next())
    else {
        return Err(malformed());
    };
    // ("storage", class, key, device, size)
    let Object::Tuple(storage) = *storage else { return Err(malformed()) };
    let mut storage = storage.into_iter().skip(1);
    let (Some(Object::Class { class_name, .. }), Some(Object::Unicode(key))) =
        (storage.next(), storage.next())
    else {
        return Err(malformed());
    };
    let element = match class_name.as_str() {
        "HalfStorage" => Element::F16,
        "BFloat16Storage" => Element::Bf16,
        "FloatStorage" => Element::F32,
        "DoubleStorage" => Element::F64,
        "BoolStorage" | "ByteStorage" | "CharStorage" | "ShortStorage" | "IntStorage"
        | "LongStorage" => return Ok(Value::Integers),
        other => return Err(format!("values of type {other} are not supported")),
    };
    let numbers = |object| match object {
        Object::Tuple(items) => items.into_iter().map(number).collect::<Option<Vec<_>>>(),
        _ => None,
    };
    let offset = number(offset).ok_or_else(malformed)?;
    let shape = numbers(shape).ok_or_else(malformed)?;
    let strides = numbers(strides).ok_or_else(malformed)?;
    if shape.len() != strides.len() {
        return Err(malformed());
    }
    Ok(Value::View(View { storage: key, element, offset, shape, strides }))
}

fn number(object: Object) -> Option<usize> {
    match object {
        Object::Int(value) => value.try_into().ok(),
        Object::Long(value) => value.try_into().ok(),
        _ => None,
    }
}

/// Every tensor of a checkpoint. Several may be views of one storage.
struct Views(Vec<(String, View)>);

impl FromIterator<(String, View)> for Views {
    fn from_iter<I: IntoIterator<Item = (String, View)>>(views: I) -> Self {
        let mut views: Vec<_> = views.into_iter().collect();
        // Views of a storage come one after the other: it is read once and
        // only one is held.
        views.sort_by(|(_, a), (_, b)| a.storage.cmp(&b.storage));
        Self(views)
    }
}

impl Views {
    fn gather<R: Read + Seek>(
        self,
        archive: &mut ZipArchive<R>,
        folder: &str,
    ) -> Result<Vec<(String, Tensor)>, String> {
        let mut held: Option<(String, Vec<u8>)> = None;
        let mut tensors = Vec::with_capacity(self.0.len());
        for (name, view) in self.0 {
            let bytes = match held.take() {
                Some((key, bytes)) if key == view.storage => bytes,
                _ => {
                    let path = format!("{folder}data/{}", view.storage);
                    entry(archive, &path, 8 * VALUES_LIMIT as u64)?
                }
            };
            let tensor = view
                .gather(&bytes)
                .and_then(|values| {
                    Tensor::from_vec(values, view.shape.as_slice(), &Device::Cpu)
                        .map_err(|e| e.to_string())
                })
                .map_err(|e| format!("tensor `{name}`: {e}"))?;
            tensors.push((name, tensor));
            held = Some((view.storage, bytes));
        }
        Ok(tensors)
    }
}

impl View {
    /// Its values in row-major order, from the bytes of its storage.
    fn gather(&self, storage: &[u8]) -> Result<Vec<f32>, String> {
        let size = self.element.size();
        let count = self
            .shape
            .iter()
            .try_fold(1usize, |n, &d| n.checked_mul(d))
            .filter(|&n| n <= VALUES_LIMIT)
            .ok_or_else(|| format!("shape {:?} is too large", self.shape))?;
        if count == 0 {
            return Ok(Vec::new());
        }
        let last = self
            .shape
            .iter()
            .zip(&self.strides)
            .try_fold(self.offset, |at, (&d, &s)| at.checked_add((d - 1).checked_mul(s)?));
        if last.is_none_or(|last| last >= storage.len() / size) {
            return Err(format!("reaches beyond its storage of {} bytes", storage.len()));
        }
        let mut values = Vec::with_capacity(count);
        let mut index = vec![0; self.shape.len()];
        let mut at = self.offset;
        loop {
            values.push(self.element.read(&storage[at * size..]));
            // Counts up the index like an odometer, the last axis fastest.
            let mut axis = self.shape.len();
            loop {
                if axis == 0 {
                    return Ok(values);
                }
                axis -= 1;
                index[axis] += 1;
                at += self.strides[axis];
                if index[axis] < self.shape[axis] {
                    break;
                }
                at -= self.strides[axis] * self.shape[axis];
                index[axis] = 0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(offset: usize, shape: &[usize], strides: &[usize]) -> View {
        View {
            storage: "0".into(),
            element: Element::F32,
            offset,
            shape: shape.to_vec(),
            strides: strides.to_vec(),
        }
    }

    #[test]
    fn views_are_gathered_by_their_strides_and_never_beyond_their_storage() {
        let storage: Vec<u8> = (0..6).flat_map(|v| (v as f32).to_le_bytes()).collect();
        let gather = |offset, shape: &[usize], strides: &[usize]| {
            view(offset, shape, strides).gather(&storage)
        };
        assert_eq!(gather(0, &[2, 3], &[3, 1]).unwrap(), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!(gather(0, &[3, 2], &[1, 3]).unwrap(), [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
        assert_eq!(gather(1, &[2, 2], &[0, 2]).unwrap(), [1.0, 3.0, 1.0, 3.0]);
        assert_eq!(gather(5, &[], &[]).unwrap(), [5.0]);
        assert!(gather(0, &[0], &[9]).unwrap().is_empty());
        assert!(gather(1, &[6], &[1]).is_err());
        assert!(gather(0, &[usize::MAX, 2], &[0, 0]).is_err());
        assert!(gather(0, &[1 << 20, 1 << 20], &[0, 0]).is_err());
        assert!(gather(usize::MAX, &[2], &[1]).is_err());
        assert!(gather(0, &[3], &[usize::MAX]).is_err());
    }
}
