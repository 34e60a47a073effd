//! Models from other people's weights.
//!
//! [`read`] takes a file of torchvision's, timm's or EfficientNet-PyTorch's
//! weights (safetensors or `.pth`), or EfficientNet-Lite's; [`model`] makes a
//! model of one or two of them. Heads that do not fit the hierarchy are made
//! anew from a seed, and the model is then marked untrained.
//!
//! Invariant: every tensor of a file is used, or the file is refused; what is
//! put in its place is named here (`import::lite`, the heads) and nowhere else.

mod lite;
pub mod names;
mod pickle;
mod pth;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use candle_core::Tensor;
use safetensors::SafeTensors;
use serde_json::json;

use super::architecture::{Architecture, Padding};
use super::description::{Description, FORMAT, Input, Provenance};
use super::file;
use super::hierarchy::Outputs;
use super::model_file::{Model, float_tensor};
use super::parameters::{Parameter, parameters};
use super::seeded;
use super::weights::{Weights, WeightsError};
use names::Naming;

/// Why weights cannot be imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file is not there or cannot be read.
    #[error("{path}: cannot be read: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// PyTorch's format before version 1.6.
    #[error(
        "{path}: in PyTorch's format before 1.6; load it there and save it again: \
         torch.save(torch.load(FILE), NEW)"
    )]
    Legacy {
        /// The file.
        path: PathBuf,
    },
    /// Neither safetensors nor a PyTorch checkpoint, by its first bytes.
    #[error("{path}: neither a safetensors file nor a PyTorch checkpoint")]
    NotWeights {
        /// The file.
        path: PathBuf,
    },
    /// Of such a format, and damaged or not understood.
    #[error("{path}: {what}")]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The tensors have names that no known library uses.
    #[error(
        "{path}: tensors are not named as torchvision, timm or EfficientNet-PyTorch name an \
         EfficientNet's (the first is `{example}`)"
    )]
    UnknownNames {
        /// The file.
        path: PathBuf,
        /// One of the names.
        example: String,
    },
    /// The names are known, and the shapes those of no member of the family.
    #[error("{path}: {naming} names, but not the shapes of any of B0 to B7")]
    UnknownMember {
        /// The file.
        path: PathBuf,
        /// Whose names.
        naming: &'static str,
    },
    /// The tensors are not those of the architecture that was asked for.
    #[error("{path}: not {architecture}: {source}")]
    Weights {
        /// The file.
        path: PathBuf,
        /// The architecture.
        architecture: String,
        /// What is wrong.
        source: WeightsError,
    },
}

/// Weights as their file holds them, in f32.
#[derive(Debug)]
pub struct Foreign {
    /// The file.
    pub path: PathBuf,
    /// Its SHA-256, hexadecimal.
    pub digest: String,
    /// Whose names the tensors have.
    pub naming: Naming,
    /// The tensors, without the prefixes that wrappers put before names.
    pub tensors: Weights,
}

/// Reads a file of weights.
///
/// # Errors
/// [`ImportError`], each kind by what is wrong.
pub fn read(path: &Path) -> Result<Foreign, ImportError> {
    let owned = || path.to_owned();
    let bytes =
        file::read(path).map_err(|source| ImportError::Unreadable { path: owned(), source })?;
    let found = match bytes.as_slice() {
        [b'P', b'K', 3, 4, ..] => pth::tensors(&bytes),
        // A pickle of protocol 2 that begins with a long of ten bytes: the
        // magic number of the old format.
        [0x80, 2, 0x8A, 10, ..] => return Err(ImportError::Legacy { path: owned() }),
        [_, _, _, _, _, _, _, _, b'{', ..] => from_safetensors(&bytes),
        _ => return Err(ImportError::NotWeights { path: owned() }),
    }
    .map_err(|what| ImportError::Corrupt { path: owned(), what })?;

    let mut tensors = Weights::new();
    for (name, tensor) in found {
        if !name.ends_with("num_batches_tracked") {
            tensors.insert(unwrapped(&name), tensor);
        }
    }
    let naming = Naming::of(|name| tensors.get(name).is_some()).ok_or_else(|| {
        let example = tensors.iter().next().map_or("", |(name, _)| name).to_owned();
        ImportError::UnknownNames { path: owned(), example }
    })?;
    Ok(Foreign { path: owned(), digest: file::sha256(&bytes), naming, tensors })
}

fn from_safetensors(bytes: &[u8]) -> Result<Vec<(String, Tensor)>, String> {
    let file = SafeTensors::deserialize(bytes).map_err(|e| format!("safetensors: {e}"))?;
    file.iter()
        .filter(|(name, _)| !name.ends_with("num_batches_tracked"))
        .map(|(name, view)| {
            let tensor = float_tensor(&view).map_err(|e| format!("tensor `{name}`: {e}"))?;
            Ok((name.to_owned(), tensor))
        })
        .collect()
}

/// A name without what `DataParallel` and `torch.compile` put before it.
fn unwrapped(mut name: &str) -> &str {
    while let Some(rest) = name.strip_prefix("module.").or_else(|| name.strip_prefix("_orig_mod."))
    {
        name = rest;
    }
    name
}

impl Foreign {
    /// Outputs of its classifier; `None` without one.
    pub fn classes(&self) -> Option<usize> {
        let weight = self.tensors.get(&format!("{}.weight", self.naming.classifier()))?;
        weight.dims().first().copied()
    }

    /// The member of the family whose names and shapes these are.
    ///
    /// # Errors
    /// [`ImportError::UnknownMember`].
    pub fn architecture(&self) -> Result<Architecture, ImportError> {
        (0..)
            .map_while(Architecture::efficientnet)
            .find(|architecture| self.canonical(architecture).is_ok())
            .ok_or_else(|| ImportError::UnknownMember {
                path: self.path.clone(),
                naming: self.naming.label(),
            })
    }

    /// All tensors of a network with `classes` outputs: the file's, and those
    /// that it does not have made anew (`seed` and `prefix` as in
    /// [`seeded::tensor`]), among them a classifier of another size.
    ///
    /// # Errors
    /// [`ImportError::Weights`] if the file is of another architecture.
    pub fn network(
        &self,
        architecture: &Architecture,
        classes: usize,
        seed: u64,
        prefix: &str,
    ) -> Result<Weights, ImportError> {
        complete(self, architecture, classes, seed, prefix).map(|(weights, _)| weights).map_err(
            |source| ImportError::Weights {
                path: self.path.clone(),
                architecture: architecture.name.clone(),
                source,
            },
        )
    }

    /// All tensors but the classifier's by canonical name.
    fn canonical(&self, architecture: &Architecture) -> Result<Weights, WeightsError> {
        let prefixes = self.naming.prefixes(architecture);
        let mut weights = Weights::new();
        let mut used = BTreeSet::new();
        for Parameter { name, shape } in parameters(architecture, 0) {
            let Some((prefix, leaf)) = name.rsplit_once('.') else { continue };
            if let Some(theirs) = prefixes.get(prefix) {
                let theirs = format!("{theirs}.{leaf}");
                weights.insert(&*name, self.tensors.tensor(&theirs, &shape)?);
                used.insert(theirs);
            }
        }
        let classifier = format!("{}.", self.naming.classifier());
        let spare = |name: &&str| !name.starts_with(&classifier) && !used.contains(*name);
        match self.tensors.iter().map(|(name, _)| name).find(spare) {
            Some(name) => Err(WeightsError::Unexpected { name: name.to_owned() }),
            None => Ok(weights),
        }
    }

    /// The classifier's weight and bias, if it has `classes` outputs.
    fn head(&self, architecture: &Architecture, classes: usize) -> Option<(Tensor, Tensor)> {
        let at = self.naming.classifier();
        let features = architecture.layers().features;
        let weight = self.tensors.tensor(&format!("{at}.weight"), &[classes, features]).ok()?;
        let bias = self.tensors.tensor(&format!("{at}.bias"), &[classes]).ok()?;
        Some((weight, bias))
    }
}

/// What to make a model of.
#[derive(Debug, Clone)]
pub struct Options {
    /// Weights of the 4-class network.
    pub stage1: PathBuf,
    /// Weights of the 2-class network; `None` takes `stage1`'s with a new head.
    pub stage2: Option<PathBuf>,
    /// Widths and depths; `None` finds the member of the family by its shapes.
    /// Epsilon and padding are not taken from it.
    pub architecture: Option<Architecture>,
    /// Epsilon of batch norm; `None` takes the library's
    /// ([`Naming::conventions`]).
    pub bn_eps: Option<f64>,
    /// Padding; `None` takes the library's ([`Naming::conventions`]).
    pub padding: Option<Padding>,
    /// What the networks are fed.
    pub input: Input,
    /// What the outputs mean.
    pub outputs: Outputs,
    /// Seeds what has to be made anew.
    pub seed: u64,
    /// Program and version, for the provenance.
    pub program: Option<String>,
}

impl Options {
    /// The paper's input and this project's classes with the weights of one
    /// file, whatever member of the family it is.
    pub fn new(stage1: impl Into<PathBuf>) -> Self {
        Self {
            stage1: stage1.into(),
            stage2: None,
            architecture: None,
            bn_eps: None,
            padding: None,
            input: Input::paper(240),
            outputs: Outputs::default(),
            seed: 0,
            program: None,
        }
    }
}

/// Makes a model.
///
/// # Errors
/// [`ImportError`], each kind by what is wrong with which file.
pub fn model(options: &Options) -> Result<Model, ImportError> {
    let first = read(&options.stage1)?;
    let second = options.stage2.as_deref().map(read).transpose()?;
    let second = second.as_ref().unwrap_or(&first);

    let mut architecture = match &options.architecture {
        Some(architecture) => architecture.clone(),
        None => first.architecture()?,
    };
    let (eps, padding) = first.naming.conventions(&architecture);
    architecture.bn_eps = options.bn_eps.unwrap_or(eps);
    architecture.padding = options.padding.unwrap_or(padding);

    let mut heads = Vec::new();
    let mut stage = |foreign: &Foreign, number: usize, classes: usize| {
        let prefix = format!("stage{number}.");
        let (weights, head) = complete(foreign, &architecture, classes, options.seed, &prefix)
            .map_err(|source| ImportError::Weights {
                path: foreign.path.clone(),
                architecture: architecture.name.clone(),
                source,
            })?;
        heads.push(head);
        Ok(weights)
    };
    let stage1 = stage(&first, 1, options.outputs.stage1.len())?;
    let stage2 = stage(second, 2, options.outputs.stage2.len())?;

    let untrained = heads.contains(&Head::Seeded)
        || [&first, second].iter().any(|foreign| foreign.naming == Naming::Lite);
    let provenance = Provenance {
        program: options.program.clone(),
        imported: [&first, second].map(|f| (file_name(&f.path), f.digest.clone())).into(),
        recipe: Some(json!({
            "import": [first.naming.label(), second.naming.label()],
            "heads": heads.iter().map(|h| h.label()).collect::<Vec<_>>(),
        })),
        seed: untrained.then_some(options.seed),
        ..Provenance::default()
    };
    let description = Description {
        format: FORMAT,
        architecture,
        input: options.input.clone(),
        outputs: options.outputs,
        untrained,
        provenance,
    };
    Ok(Model { description, stage1, stage2, digest: None })
}

/// Where a classifier comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Head {
    Imported,
    Seeded,
}

impl Head {
    fn label(self) -> &'static str {
        match self {
            Self::Imported => "imported",
            Self::Seeded => "seeded",
        }
    }
}

/// All tensors of one network, and where its head comes from.
fn complete(
    foreign: &Foreign,
    architecture: &Architecture,
    classes: usize,
    seed: u64,
    prefix: &str,
) -> Result<(Weights, Head), WeightsError> {
    let mut weights = foreign.canonical(architecture)?;
    let mut head = Head::Seeded;
    if let Some((weight, bias)) = foreign.head(architecture, classes) {
        weights.insert("classifier.1.weight", weight);
        weights.insert("classifier.1.bias", bias);
        head = Head::Imported;
    }
    let parameters = parameters(architecture, classes);
    for parameter in &parameters {
        let name = &parameter.name;
        if weights.get(name).is_some() {
            continue;
        }
        let tensor = if name.starts_with("classifier") {
            seeded::tensor(parameter, seed, prefix)?
        } else {
            lite::initial(parameter, architecture, seed, prefix)?
        };
        weights.insert(&**name, tensor);
    }
    weights.check(&parameters)?;
    Ok((weights, head))
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkpoint(name: &str) -> Vec<(String, Tensor)> {
        let path = format!("{}/fixtures/golden/checkpoints/{name}", env!("CARGO_MANIFEST_DIR"));
        let mut tensors = pth::tensors(&std::fs::read(path).unwrap()).unwrap();
        tensors.sort_by(|a, b| a.0.cmp(&b.0));
        tensors
    }

    /// `value` of `tests/oracles/checkpoints.py`.
    fn value(name: &str, shape: &[usize]) -> Tensor {
        let parameter = Parameter { name: name.into(), shape: shape.to_vec() };
        seeded::tensor(&parameter, 7, "").unwrap()
    }

    fn equal(a: &Tensor, b: &Tensor, tolerance: f32) {
        assert_eq!(a.dims(), b.dims());
        let worst = (a - b).unwrap().abs().unwrap().max_all().unwrap();
        assert!(worst.to_scalar::<f32>().unwrap() <= tolerance);
    }

    #[test]
    fn checkpoints_hold_what_pytorch_put_there() {
        let found = checkpoint("contiguous.pth");
        let names: Vec<_> = found.iter().map(|(n, _)| n.as_str()).collect();
        assert_eq!(names, ["conv.weight", "fc.bias", "fc.weight"], "and no counter");
        equal(&found[0].1, &value("conv.weight", &[4, 3, 2, 2]), 0.0);
        equal(&found[1].1, &value("fc.bias", &[5]), 0.0);
        equal(&found[2].1, &value("fc.weight", &[5, 3]), 0.0);
    }

    #[test]
    fn strides_offsets_and_wrappers_are_honoured() {
        let found = checkpoint("strided.pth");
        let tensor = |name: &str| &found.iter().find(|(n, _)| n == name).unwrap().1;
        let (conv, matrix) = (value("conv.weight", &[4, 3, 2, 2]), value("fc.weight", &[5, 3]));
        let bias = value("fc.bias", &[5]);
        equal(tensor("conv.weight"), &conv, 0.0);
        equal(tensor("conv.permuted"), &conv, 0.0);
        equal(tensor("fc.weight"), &matrix, 0.0);
        equal(tensor("fc.offset"), &matrix, 0.0);
        equal(tensor("fc.parameter"), &matrix, 0.0);
        equal(tensor("fc.bias"), &bias, 0.0);
        let first = bias.narrow(0, 0, 1).unwrap().broadcast_as((4, 2)).unwrap();
        equal(tensor("fc.expanded"), &first.contiguous().unwrap(), 0.0);
    }

    #[test]
    fn weights_are_found_among_other_things_and_unwrapped() {
        let found = checkpoint("nested.pth");
        let names: Vec<_> = found.iter().map(|(n, _)| unwrapped(n)).collect();
        assert_eq!(names, ["conv.weight", "fc.bias", "fc.weight"]);
        equal(&found[0].1, &value("conv.weight", &[4, 3, 2, 2]), 0.0);
        assert_eq!(unwrapped("module._orig_mod.module.x"), "x");
        assert_eq!(unwrapped("modules.x"), "modules.x");
    }

    #[test]
    fn every_floating_point_type_is_read_and_no_other() {
        let found = checkpoint("kinds.pth");
        let names: Vec<_> = found.iter().map(|(n, _)| n.as_str()).collect();
        assert_eq!(names, ["bfloat", "double", "half"]);
        let conv = value("conv.weight", &[4, 3, 2, 2]);
        equal(&found[0].1, &conv, 0.01);
        equal(&found[1].1, &conv, 0.0);
        equal(&found[2].1, &conv, 0.001);
    }

    /// Every cut, and every byte changed: any answer will do, but there must
    /// be one.
    #[test]
    fn damaged_checkpoints_are_errors_and_never_panics() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/golden/checkpoints/strided.pth");
        let bytes = std::fs::read(path).unwrap();
        for length in 0..bytes.len() {
            assert!(pth::tensors(&bytes[..length]).is_err(), "cut at {length}");
        }
        let mut failures = 0;
        for at in 0..bytes.len() {
            for flip in [0x01, 0xFF] {
                let mut damaged = bytes.clone();
                damaged[at] ^= flip;
                failures += usize::from(pth::tensors(&damaged).is_err());
            }
        }
        assert!(failures > bytes.len(), "{failures}: the archive's checksums must be looked at");
    }
}
