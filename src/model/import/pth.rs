//! Tensors of a PyTorch checkpoint in the zip format (PyTorch 1.6 and later).
//!
//! The archive holds a pickle that describes every tensor as a view of a
//! storage (offset, shape and strides), and one file per storage.
//! [`super::pickle`] reads the description; the views are gathered here, because
//! a view may have any strides.
//!
//! Invariant: what is allocated is bounded by [`PICKLE`] and
//! [`VALUES`], whatever the file states.

use std::collections::HashMap;
use std::io::{Cursor, Read, Seek};

use candle_core::{Device, Tensor};
use half::{bf16, f16};
use zip::{CompressionMethod, ZipArchive};

use super::pickle::{Id, Object, Pickle};
use crate::limits::model::{AXES, DEPTH, PICKLE, VALUES};

/// Where training scripts keep the weights among other things.
const KEYS: [&str; 6] = ["state_dict", "model_state_dict", "model", "net", "network", "weights"];

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
    let description = entry(&mut archive, pickle, PICKLE)?;
    let pickle = Pickle::read(&description).map_err(|e| format!("pickle: {e}"))?;
    let views = Checkpoint(&pickle).state(pickle.root(), DEPTH)?;
    views.into_iter().collect::<Views>().gather(&mut archive, folder)
}

/// The bytes of an archive's entry of at most `limit`.
fn entry<R: Read + Seek>(
    archive: &mut ZipArchive<R>,
    name: &str,
    limit: u64,
) -> Result<Vec<u8>, String> {
    let file = archive.by_name(name).map_err(|e| format!("{name}: {e}"))?;
    // PyTorch compresses nothing, and a thousandth of the bytes could else ask
    // for all memory.
    if file.compression() != CompressionMethod::Stored {
        return Err(format!("{name}: compressed, which no checkpoint of PyTorch's is"));
    }
    let mut bytes = Vec::new();
    let read = file.take(limit + 1).read_to_end(&mut bytes).map_err(|e| format!("{name}: {e}"))?;
    if read as u64 > limit {
        return Err(format!("{name}: larger than {limit} bytes"));
    }
    Ok(bytes)
}

/// What a pickle says of tensors.
struct Checkpoint<'a>(&'a Pickle);

impl Checkpoint<'_> {
    /// The dictionary of tensors in an object: itself, or under one of [`KEYS`].
    fn state(&self, object: Id, depth: usize) -> Result<Vec<(String, View)>, String> {
        let absent = || "the checkpoint holds no dictionary of tensors".to_owned();
        let entries = match self.0.get(object) {
            Object::Dict(entries) => entries,
            // An object whose attributes are a dictionary, such as a whole module.
            Object::Stateful { state } if depth > 0 => return self.state(*state, depth - 1),
            _ => return Err(absent()),
        };
        let mut views = Vec::new();
        let mut inner: HashMap<&str, Id> = HashMap::new();
        for (key, value) in entries {
            let Object::Text(key) = self.0.get(*key) else { continue };
            match self.view(*value, DEPTH).map_err(|e| format!("tensor `{key}`: {e}"))? {
                Value::View(view) => views.push((key.clone(), view)),
                Value::Other => drop(inner.insert(key, *value)),
                Value::Integers => {}
            }
        }
        if !views.is_empty() {
            return Ok(views);
        }
        if depth > 0 {
            for object in KEYS.iter().filter_map(|key| inner.get(key)) {
                if let Ok(found) = self.state(*object, depth - 1) {
                    return Ok(found);
                }
            }
        }
        Err(absent())
    }

    /// `value` as a tensor, if it is one; `depth` bounds its wrappers.
    fn view(&self, value: Id, depth: usize) -> Result<Value, String> {
        let Object::Call { callable, arguments } = self.0.get(value) else {
            return Ok(Value::Other);
        };
        self.called(*callable, *arguments, depth)
    }

    /// What a call makes, if it is a tensor.
    fn called(&self, callable: Id, arguments: Id, depth: usize) -> Result<Value, String> {
        let (Object::Global { module, name }, Object::Tuple(arguments)) =
            (self.0.get(callable), self.0.get(arguments))
        else {
            return Ok(Value::Other);
        };
        let deeper = || depth.checked_sub(1).ok_or("a tensor in too many wrappers".to_owned());
        match (module.as_str(), name.as_str()) {
            // (storage, offset, shape, strides, …)
            ("torch._utils", "_rebuild_tensor_v2") => self.rebuild(arguments),
            // (tensor, requires_grad, hooks)
            ("torch._utils", "_rebuild_parameter") => match arguments.first() {
                Some(tensor) => self.view(*tensor, deeper()?),
                None => Err("a parameter without its tensor".into()),
            },
            // (rebuild, class, arguments of rebuild, state)
            ("torch._tensor", "_rebuild_from_type_v2") => match arguments.as_slice() {
                [callable, _, arguments, ..] => self.called(*callable, *arguments, deeper()?),
                _ => Err("a tensor subclass without its tensor".into()),
            },
            _ => Ok(Value::Other),
        }
    }

    /// The arguments of `_rebuild_tensor_v2`.
    fn rebuild(&self, arguments: &[Id]) -> Result<Value, String> {
        self.described(arguments).unwrap_or_else(|| Err("its description is not PyTorch's".into()))
    }

    /// As [`Self::rebuild`]; `None` for what PyTorch does not write.
    fn described(&self, arguments: &[Id]) -> Option<Result<Value, String>> {
        let [storage, offset, shape, strides, ..] = arguments else { return None };
        let Object::Persistent(storage) = self.0.get(*storage) else { return None };
        // ("storage", class, key, device, size)
        let Object::Tuple(storage) = self.0.get(*storage) else { return None };
        let [_, class, key, ..] = storage.as_slice() else { return None };
        let (Object::Global { name, .. }, Object::Text(key)) =
            (self.0.get(*class), self.0.get(*key))
        else {
            return None;
        };
        let element = match name.as_str() {
            "HalfStorage" => Element::F16,
            "BFloat16Storage" => Element::Bf16,
            "FloatStorage" => Element::F32,
            "DoubleStorage" => Element::F64,
            "BoolStorage" | "ByteStorage" | "CharStorage" | "ShortStorage" | "IntStorage"
            | "LongStorage" => return Some(Ok(Value::Integers)),
            other => return Some(Err(format!("values of type {other} are not supported"))),
        };
        let offset = self.number(*offset)?;
        let (shape, strides) = (self.numbers(*shape)?, self.numbers(*strides)?);
        (shape.len() == strides.len()).then(|| {
            Ok(Value::View(View { storage: key.clone(), element, offset, shape, strides }))
        })
    }

    fn numbers(&self, object: Id) -> Option<Vec<usize>> {
        match self.0.get(object) {
            Object::Tuple(items) if items.len() <= AXES => {
                items.iter().map(|item| self.number(*item)).collect()
            }
            _ => None,
        }
    }

    fn number(&self, object: Id) -> Option<usize> {
        match self.0.get(object) {
            Object::Int(value) => (*value).try_into().ok(),
            _ => None,
        }
    }
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
    Other,
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
        let mut left = VALUES;
        let mut held: Option<(String, Vec<u8>)> = None;
        let mut tensors = Vec::with_capacity(self.0.len());
        for (name, view) in self.0 {
            let bytes = match held.take() {
                Some((key, bytes)) if key == view.storage => bytes,
                _ => {
                    let path = format!("{folder}data/{}", view.storage);
                    entry(archive, &path, 8 * VALUES as u64)?
                }
            };
            let tensor = view
                .gather(&bytes, &mut left)
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
    /// Its values in row-major order, from the bytes of its storage; `left` is
    /// how many values there may still be.
    fn gather(&self, storage: &[u8], left: &mut usize) -> Result<Vec<f32>, String> {
        let size = self.element.size();
        let count = self
            .shape
            .iter()
            .try_fold(1usize, |n, &d| n.checked_mul(d))
            .filter(|n| n <= left)
            .ok_or_else(|| format!("shape {:?}: more than {VALUES} values in all", self.shape))?;
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
        *left -= count;
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
            view(offset, shape, strides).gather(&storage, &mut VALUES.clone())
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

    /// 64 views of a GiB each of four bytes.
    #[test]
    fn all_views_together_are_bounded() {
        let mut left = 10;
        assert!(view(0, &[2, 3], &[0, 0]).gather(&[0; 4], &mut left).is_ok());
        assert_eq!(left, 4);
        let error = view(0, &[5], &[0]).gather(&[0; 4], &mut left).unwrap_err();
        assert!(error.contains("in all"), "{error}");
    }
}
