//! Models from other people's weights.
//!
//! [`read`] takes a file of torchvision's weights of any backbone, of timm's or
//! EfficientNet-PyTorch's (safetensors or `.pth`), or EfficientNet-Lite's; [`model`] makes a
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
use serde_json::json;

use super::architecture::{Architecture, Padding};
use super::backbone::Backbone;
use super::description::{Description, Input, Provenance};
use super::model_file::Model;
use super::parameters::{Parameter, parameters};
use super::saved_weights::{self, SavedWeights, SavedWeightsError};
use super::seeded;
use super::tensors::Tensors;
use super::weights::{Weights, WeightsError};
use super::whole;
use crate::storage::digest::sha256;
use crate::tree::{Combined, Scheme};
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
        "{path}: tensors are not named as torchvision names those of a backbone, or timm or \
         EfficientNet-PyTorch those of an EfficientNet (the first is `{example}`)"
    )]
    UnknownNames {
        /// The file.
        path: PathBuf,
        /// One of the names.
        example: String,
    },
    /// The names are known, and the shapes those of no member of the family.
    #[error("{path}: {naming} names, but not the shapes of any known backbone")]
    UnknownMember {
        /// The file.
        path: PathBuf,
        /// Whose names.
        naming: &'static str,
    },
    /// Weights that a run kept are damaged.
    #[error(transparent)]
    SavedWeights(#[from] SavedWeightsError),
    /// Some files say what their outputs mean, others do not.
    #[error("weights that a training run kept and others make no model together")]
    Mixed,
    /// Weights that a run kept say themselves what they are.
    #[error(
        "weights that a training run kept say themselves what they are and are fed: leave out \
         --classes, --architecture, --bn-eps, --padding, --size, --mean, --std, --bands and --profile"
    )]
    SaysItself,
    /// Weights that an older program kept.
    #[error(
        "the weights do not say what they are fed: give the crop that they were trained on with --size"
    )]
    NoInput,
    /// Weights of two libraries that pad or normalise otherwise.
    #[error(
        "{path}: networks of its library and of that of the first file differ in padding or in \
         the epsilon of batch norm: say for both what they have, with --padding and --bn-eps"
    )]
    Conventions {
        /// The file that differs from the first.
        path: PathBuf,
    },
    /// The classes make no tree.
    #[error("{0}")]
    Classes(String),
    /// More files than networks, or none.
    #[error("{files} files of weights for {networks} networks")]
    Files {
        /// Files given.
        files: usize,
        /// Networks of the model.
        networks: usize,
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
        whole::read(path).map_err(|source| ImportError::Unreadable { path: owned(), source })?;
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
        let name = renamed(unwrapped(&name));
        if !name.ends_with("num_batches_tracked") && !is_auxiliary(&name) {
            tensors.insert(name, tensor);
        }
    }
    let naming = Naming::of(|name| tensors.get(name).is_some()).ok_or_else(|| {
        let example = tensors.iter().next().map_or("", |(name, _)| name).to_owned();
        ImportError::UnknownNames { path: owned(), example }
    })?;
    Ok(Foreign { path: owned(), digest: sha256(&bytes), naming, tensors })
}

fn from_safetensors(bytes: &[u8]) -> Result<Vec<(String, Tensor)>, String> {
    let file = Tensors::of(bytes).map_err(|e| format!("safetensors: {e}"))?;
    file.floats()
        .filter(|(name, _)| !name.ends_with("num_batches_tracked"))
        .map(|(name, tensor)| {
            let tensor = tensor.map_err(|e| format!("tensor `{name}`: {e}"))?;
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

/// GoogLeNet's classifiers at the sides, which serve its training on ImageNet alone
/// and no prediction.
fn is_auxiliary(name: &str) -> bool {
    name.starts_with("aux1.") || name.starts_with("aux2.")
}

/// The name that torchvision's ViT has today: its published weights have an older one.
fn renamed(name: &str) -> String {
    match name.rsplit_once(".mlp.linear_") {
        Some((layer, rest)) if rest.starts_with("1.") => format!("{layer}.mlp.0.{}", &rest[2..]),
        Some((layer, rest)) if rest.starts_with("2.") => format!("{layer}.mlp.3.{}", &rest[2..]),
        _ => name.to_owned(),
    }
}

impl Foreign {
    /// Outputs of its classifier; `None` without one.
    pub fn classes(&self) -> Option<usize> {
        Backbone::ALL.into_iter().find_map(|backbone| {
            let name = format!("{}.weight", self.naming.classifier(backbone));
            self.tensors.get(&name)?.dims().first().copied()
        })
    }

    /// Side of the crops that a network's learned places are for, of a transformer.
    pub fn image(&self) -> Option<usize> {
        let places = self.tensors.get("encoder.pos_embedding")?.dims().get(1).copied()?;
        Some(places.saturating_sub(1).isqrt() * 16)
    }

    /// The architecture whose names and shapes these are.
    ///
    /// # Errors
    /// [`ImportError::UnknownMember`].
    pub fn architecture(&self) -> Result<Architecture, ImportError> {
        Architecture::all()
            .map(|architecture| match self.image() {
                Some(side) => architecture.for_images(side),
                None => architecture,
            })
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
            if architecture.is_classifier(&name) {
                continue;
            }
            let theirs = match (self.naming, name.rsplit_once('.')) {
                (Naming::Torchvision, _) => Some(name.clone()),
                (_, Some((prefix, leaf))) => {
                    prefixes.get(prefix).map(|theirs| format!("{theirs}.{leaf}"))
                }
                (_, None) => None,
            };
            if let Some(theirs) = theirs {
                weights.insert(&*name, self.tensors.tensor(&theirs, &shape)?);
                used.insert(theirs);
            }
        }
        let classifier = format!("{}.", self.naming.classifier(architecture.backbone));
        let spare = |name: &&str| !name.starts_with(&classifier) && !used.contains(*name);
        match self.tensors.iter().map(|(name, _)| name).find(spare) {
            Some(name) => Err(WeightsError::Unexpected { name: name.to_owned() }),
            None => Ok(weights),
        }
    }

    /// The classifier's weight and bias, if it has `classes` outputs.
    fn head(&self, architecture: &Architecture, classes: usize) -> Option<(Tensor, Tensor)> {
        let at = self.naming.classifier(architecture.backbone);
        let features = architecture.plan().features;
        let weight = self.tensors.tensor(&format!("{at}.weight"), &[classes, features]).ok()?;
        let bias = self.tensors.tensor(&format!("{at}.bias"), &[classes]).ok()?;
        Some((weight, bias))
    }
}

/// What to make a model of.
#[derive(Debug, Clone)]
pub struct ImportOptions {
    /// Weights of each network, in the order of the scheme's. Where there are
    /// fewer files than networks, the last gives the others their backbone, and
    /// they get new heads.
    pub files: Vec<PathBuf>,
    /// Which classes the outputs of a single network mean, in their order;
    /// `None` takes HIWL's tree, or what the weights say themselves.
    pub classes: Option<Vec<String>>,
    /// Widths and depths; `None` finds the member of the family by its shapes.
    /// Epsilon and padding are not taken from it.
    pub architecture: Option<Architecture>,
    /// Epsilon of batch norm; `None` takes the library's
    /// ([`Naming::conventions`]).
    pub bn_eps: Option<f64>,
    /// Padding; `None` takes the library's ([`Naming::conventions`]).
    pub padding: Option<Padding>,
    /// What the networks are fed; `None` takes what the weights say, or the
    /// paper's.
    pub input: Option<Input>,
    /// What of that is otherwise.
    pub fed: Fed,
    /// Seeds what has to be made anew.
    pub seed: u64,
    /// Program and version, for the provenance.
    pub program: Option<String>,
}

/// How pictures become what networks are fed, as far as it is said.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Fed {
    /// [`Input::mean`].
    pub mean: Option<[f32; 3]>,
    /// [`Input::std`].
    pub std: Option<[f32; 3]>,
    /// [`Input::bands`].
    pub bands: Option<[String; 3]>,
    /// [`Input::rgb_profile`].
    pub profile: Option<String>,
}

impl Fed {
    fn put_into(&self, input: &mut Input) {
        let Self { mean, std, bands, profile } = self.clone();
        input.mean = mean.unwrap_or(input.mean);
        input.std = std.unwrap_or(input.std);
        if let Some(bands) = bands {
            input.bands = bands;
        }
        if let Some(profile) = profile {
            input.rgb_profile = profile;
        }
    }
}

impl ImportOptions {
    /// The paper's input and HIWL's tree with the weights of one file, whatever
    /// member of the family it is.
    pub fn new(file: impl Into<PathBuf>) -> Self {
        Self {
            files: vec![file.into()],
            classes: None,
            architecture: None,
            bn_eps: None,
            padding: None,
            input: None,
            fed: Fed::default(),
            seed: 0,
            program: None,
        }
    }
}

/// Makes a model.
///
/// Weights that a training run kept say what their outputs mean: their classes
/// stay, and a model of them is trained.
///
/// # Errors
/// [`ImportError`], each kind by what is wrong with which file.
pub fn model(options: &ImportOptions) -> Result<Model, ImportError> {
    let kept =
        options.files.iter().map(|path| saved_weights::read(path).map_err(ImportError::from));
    let kept = kept.collect::<Result<Vec<Option<SavedWeights>>, ImportError>>()?;
    match kept.iter().flatten().count() {
        0 => foreign_model(options),
        count if count == kept.len() => {
            kept_model(options, &kept.into_iter().flatten().collect::<Vec<_>>())
        }
        _ => Err(ImportError::Mixed),
    }
}

/// A model of other people's weights.
fn foreign_model(options: &ImportOptions) -> Result<Model, ImportError> {
    let scheme = match &options.classes {
        None => Scheme::hiwl(),
        Some(classes) => {
            let outputs: Vec<Vec<String>> = classes.iter().map(|c| vec![c.clone()]).collect();
            Scheme::combined(Some(classes), &[("single", &outputs)])
                .map_err(ImportError::Classes)?
        }
    };
    let networks = scheme.networks();
    if options.files.is_empty() || options.files.len() > networks.len() {
        let (files, networks) = (options.files.len(), networks.len());
        return Err(ImportError::Files { files, networks });
    }
    let files = options.files.iter().map(|path| read(path)).collect::<Result<Vec<_>, _>>()?;
    let of = |place: usize| &files[place.min(files.len() - 1)];
    let first = of(0);
    let mut architecture = match &options.architecture {
        Some(architecture) => match first.image() {
            Some(side) => architecture.clone().for_images(side),
            None => architecture.clone(),
        },
        None => first.architecture()?,
    };
    let (eps, padding) = first.naming.conventions(&architecture);
    architecture.bn_eps = options.bn_eps.unwrap_or(eps);
    architecture.padding = options.padding.unwrap_or(padding);
    for other in &files[1..] {
        let (its_eps, its_padding) = other.naming.conventions(&architecture);
        let told = (options.bn_eps.is_some() || its_eps == eps)
            && (options.padding.is_some() || its_padding == padding);
        if !told {
            return Err(ImportError::Conventions { path: other.path.clone() });
        }
    }

    let (mut heads, mut weights) = (Vec::new(), Vec::new());
    for (place, network) in networks.iter().enumerate() {
        let (foreign, prefix) = (of(place), format!("{}.", network.name));
        let (own, head) =
            complete(foreign, &architecture, network.outputs(), options.seed, &prefix).map_err(
                |source| ImportError::Weights {
                    path: foreign.path.clone(),
                    architecture: architecture.name.clone(),
                    source,
                },
            )?;
        heads.push(head);
        weights.push(own);
    }
    let untrained = heads.contains(&Head::Seeded) || files.iter().any(|f| f.naming == Naming::Lite);
    let namings: Vec<&str> = (0..networks.len()).map(|place| of(place).naming.label()).collect();
    let provenance = Provenance {
        program: options.program.clone(),
        imported: files.iter().map(|f| (file_name(&f.path), f.digest.clone())).collect(),
        recipe: Some(json!({
            "import": namings,
            "heads": heads.iter().map(|h| h.label()).collect::<Vec<_>>(),
            "assumed": assumed(options),
        })),
        seed: untrained.then_some(options.seed),
        ..Provenance::default()
    };
    let side = architecture.image.unwrap_or(240);
    let architectures = vec![architecture; networks.len()];
    let mut input = options.input.clone().unwrap_or_else(|| Input::paper(side));
    options.fed.put_into(&mut input);
    let description =
        Description { untrained, provenance, ..Description::new(scheme, architectures, input) };
    description.check().map_err(ImportError::Classes)?;
    Ok(Model::new(description, weights))
}

/// What nobody said and weights cannot say, by the names of the flags that would.
fn assumed(options: &ImportOptions) -> Vec<&'static str> {
    let Fed { mean, std, bands, profile } = &options.fed;
    let said = [
        ("size", options.input.is_some()),
        ("mean", mean.is_some()),
        ("std", std.is_some()),
        ("bands", bands.is_some()),
        ("profile", profile.is_some()),
        ("bn-eps", options.bn_eps.is_some()),
        ("padding", options.padding.is_some()),
    ];
    said.into_iter().filter(|(_, said)| !said).map(|(name, _)| name).collect()
}

/// A model of weights that training runs kept.
fn kept_model(options: &ImportOptions, kept: &[SavedWeights]) -> Result<Model, ImportError> {
    let says_layers = options.bn_eps.is_some() || options.padding.is_some();
    if options.classes.is_some()
        || options.architecture.is_some()
        || says_layers
        || options.fed != Fed::default()
    {
        return Err(ImportError::SaysItself);
    }
    let networks: Vec<Combined<'_>> = kept
        .iter()
        .map(|kept| (kept.description.model.as_str(), kept.description.outputs.as_slice()))
        .collect();
    let scheme = Scheme::combined(None, &networks).map_err(ImportError::Classes)?;
    let inputs: Vec<&Input> = kept.iter().filter_map(|k| k.description.input.as_ref()).collect();
    if inputs.windows(2).any(|pair| pair[0] != pair[1]) {
        return Err(ImportError::Classes("the networks are not fed alike".into()));
    }
    let input = match (inputs.first(), &options.input) {
        (Some(&own), Some(asked)) if own != asked => return Err(ImportError::SaysItself),
        (Some(&own), _) => own.clone(),
        (None, Some(asked)) => asked.clone(),
        (None, None) => return Err(ImportError::NoInput),
    };
    let imported =
        options.files.iter().zip(kept).map(|(path, k)| (file_name(path), k.digest.clone()));
    let runs: Vec<_> = kept.iter().map(|k| json!({ "model": k.description.model, "epoch": k.description.epoch, "run": k.description.run })).collect();
    let provenance = Provenance {
        program: options.program.clone(),
        imported: imported.collect(),
        recipe: Some(json!({ "import": runs })),
        ..Provenance::default()
    };
    let architectures = kept.iter().map(|kept| kept.description.architecture.clone()).collect();
    let description = Description { provenance, ..Description::new(scheme, architectures, input) };
    description.check().map_err(ImportError::Classes)?;
    let networks = kept.iter().map(|kept| kept.weights.clone()).collect();
    Ok(Model::new(description, networks))
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
        let at = architecture.backbone.classifier();
        weights.insert(format!("{at}.weight"), weight);
        weights.insert(format!("{at}.bias"), bias);
        head = Head::Imported;
    }
    let parameters = parameters(architecture, classes);
    for parameter in &parameters {
        let name = &parameter.name;
        if weights.get(name).is_some() {
            continue;
        }
        let tensor = if architecture.is_classifier(name) {
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
mod tests;
