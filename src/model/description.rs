//! What a model file says of itself: all that is needed to use it right.
//!
//! It is the JSON under the key `hiwl` in the file's metadata. Format 3 is format
//! 2 with an oddness, whose tensors stand beside the networks'. Format 2 holds
//! a tree and any number of networks; format 1 two networks of one
//! architecture that answer HIWL's. What an earlier format can say is written in
//! it, so that programs before the later ones read it and the same model gives the same
//! bytes for ever. Unknown fields are an error outside the provenance, because
//! a field that this version does not know may change what a network must be
//! fed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

use super::architecture::Architecture;
use super::card::Card;
use super::oddness::About;
use super::parameters::parameters;
use crate::limits;
use crate::limits::model::VALUES;
use crate::tree::{Calibration, Network, Scheme, Tree, hiwl};

/// The newest format that this program reads and writes.
pub const FORMAT: u32 = 3;

/// A model, but for its weights.
#[derive(Debug, Clone, PartialEq)]
pub struct Description {
    /// The tree, and which network answers what.
    pub scheme: Scheme,
    /// The architecture of each of the scheme's networks.
    pub architectures: Vec<Architecture>,
    /// What the networks are fed.
    pub input: Input,
    /// Whether some weights were never trained on galaxies: labels mean
    /// nothing.
    pub untrained: bool,
    /// What else is known of the model.
    pub extras: Extras,
    /// Where the weights come from.
    pub provenance: Provenance,
}

/// What is known of a model beside its use. The program keeps and tells it, and
/// brings cutouts to its scale where their radii are given.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Extras {
    /// Arcseconds a pixel of the training images, as a part of each galaxy's
    /// Petrosian R90: 0.02 for Galaxy Zoo 2's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub training_scale: Option<f64>,
    /// Where on purity against completeness the labels stand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operating_point: Option<Value>,
    /// What tells pictures unlike those that were learned from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oddness: Option<About>,
}

/// From a cutout to what the network sees.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Side of the central square that is cut out, in pixels.
    pub size: usize,
    /// Subtracted from each of R, G, B scaled to 0…1.
    pub mean: [f32; 3],
    /// Then divided by.
    pub std: [f32; 3],
    /// The survey bands that become R, G, B.
    pub bands: [String; 3],
    /// Name of the profile that turns bands into the colours trained on.
    pub rgb_profile: String,
}

impl Input {
    /// The paper's input (section 3.1.1), with crops of `size` pixels: colours
    /// normalised by the training set's statistics; SDSS i, r, g as R, G, B.
    pub fn paper(size: usize) -> Self {
        Self {
            size,
            mean: [0.046, 0.041, 0.030],
            std: [0.090, 0.075, 0.065],
            bands: ["i", "r", "g"].map(String::from),
            rgb_profile: "lupton".into(),
        }
    }
}

/// Where weights come from. Everything is optional, and what this version
/// does not know is kept.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// Program and version that made the weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<String>,
    /// Files they were imported from, with their SHA-256.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub imported: BTreeMap<String, String>,
    /// SHA-256 of the training data's listing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_digest: Option<String>,
    /// How they were trained or made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipe: Option<Value>,
    /// Seed of whatever was random.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// What it was measured to do, and a text for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub card: Option<Card>,
    /// Results, such as `validation.accuracy`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metrics: BTreeMap<String, f64>,
    /// Anything else.
    #[serde(flatten)]
    pub other: BTreeMap<String, Value>,
}

/// A description in format 1.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct First {
    format: u32,
    architecture: Architecture,
    input: Input,
    outputs: FirstOutputs,
    untrained: bool,
    #[serde(default)]
    provenance: Provenance,
}

/// Names of the answers that the outputs of HIWL's two networks mean.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FirstOutputs {
    stage1: Vec<String>,
    stage2: Vec<String>,
}

/// A description in format 2.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Second {
    format: u32,
    tree: Tree,
    networks: Vec<SecondNetwork>,
    input: Input,
    untrained: bool,
    /// By question.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    calibration: BTreeMap<String, Calibration>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    training_scale: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    operating_point: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    oddness: Option<Value>,
    #[serde(default)]
    provenance: Provenance,
}

/// A network of format 2.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SecondNetwork {
    /// Begins the names of its tensors, with a dot after it.
    name: String,
    architecture: Architecture,
    /// What each output means, as `question/answer`.
    outputs: Vec<String>,
}

/// A description as it is written.
#[derive(Serialize)]
#[serde(untagged)]
enum File {
    First(Box<First>),
    Second(Box<Second>),
}

/// As it stands in the file.
impl Serialize for Description {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.file().serialize(serializer)
    }
}

/// What may be wrong with a description, before the path is known.
#[derive(Debug)]
pub(super) enum Flaw {
    /// It is not the JSON that it should be.
    Json(serde_json::Error),
    /// It is of a later format.
    Newer(u32),
    /// A value makes no sense.
    Value(String),
}

impl Description {
    /// A description of these networks without anything that is not needed.
    pub fn new(scheme: Scheme, architectures: Vec<Architecture>, input: Input) -> Self {
        Self {
            scheme,
            architectures,
            input,
            untrained: false,
            extras: Extras::default(),
            provenance: Provenance::default(),
        }
    }

    /// Takes an oddness, which stands beside the weights, or none.
    pub(super) fn tell_oddness(&mut self, about: Option<About>) {
        self.scheme = self.scheme.clone().with_oddness(about.is_some());
        self.extras.oddness = about;
    }

    /// The networks: what their outputs mean, and their architectures.
    pub fn networks(&self) -> impl ExactSizeIterator<Item = (&Network, &Architecture)> {
        self.scheme.networks().iter().zip(&self.architectures)
    }

    /// The format that it is written in.
    pub fn format(&self) -> u32 {
        let one = self.architectures.windows(2).all(|pair| pair[0] == pair[1]);
        let plain = self.scheme.heads().all(|head| head.calibration.is_none());
        let first = self.scheme.is_hiwl() && one && plain && self.extras == Extras::default();
        match (first, &self.extras.oddness) {
            (true, _) => 1,
            (false, None) => 2,
            (false, Some(_)) => 3,
        }
    }

    /// What is written.
    fn file(&self) -> File {
        match self.format() {
            1 => File::First(Box::new(First {
                format: 1,
                architecture: self.architectures[0].clone(),
                input: self.input.clone(),
                outputs: self.first_outputs(),
                untrained: self.untrained,
                provenance: self.provenance.clone(),
            })),
            format => File::Second(Box::new(self.second(format))),
        }
    }

    fn first_outputs(&self) -> FirstOutputs {
        let tree = self.scheme.tree();
        let of = |network: &Network| {
            let answers = network.heads.iter().flat_map(|head| &head.answers);
            answers.map(|&answer| tree.answers()[answer].name.clone()).collect()
        };
        let networks = self.scheme.networks();
        FirstOutputs { stage1: of(&networks[0]), stage2: of(&networks[1]) }
    }

    fn second(&self, format: u32) -> Second {
        let tree = self.scheme.tree();
        let networks = self.networks().map(|(network, architecture)| SecondNetwork {
            name: network.name.clone(),
            architecture: architecture.clone(),
            outputs: network.paths(tree),
        });
        let calibration = self.scheme.heads().filter_map(|head| {
            Some((tree.questions()[head.question].name.clone(), head.calibration.clone()?))
        });
        let Extras { training_scale, operating_point, oddness } = self.extras.clone();
        Second {
            format,
            tree: tree.clone(),
            networks: networks.collect(),
            input: self.input.clone(),
            untrained: self.untrained,
            calibration: calibration.collect(),
            training_scale,
            operating_point,
            oddness: oddness.map(|about| serde_json::json!(about)),
            provenance: self.provenance.clone(),
        }
    }

    /// The description in `text`. Its version is looked at first, so that a
    /// later format is named as such and not by what differs in it.
    pub(super) fn parse(text: &str) -> Result<Self, Flaw> {
        #[derive(Deserialize)]
        struct Version {
            format: u32,
        }
        let Version { format } = serde_json::from_str(text).map_err(Flaw::Json)?;
        let description = match format {
            0 => Err(Flaw::Value("there is no format 0".into())),
            1 => Self::from_first(serde_json::from_str(text).map_err(Flaw::Json)?),
            2 | FORMAT => Self::from_second(serde_json::from_str(text).map_err(Flaw::Json)?),
            newer => Err(Flaw::Newer(newer)),
        }?;
        description.check().map_err(Flaw::Value)?;
        Ok(description)
    }

    fn from_first(first: First) -> Result<Self, Flaw> {
        let tree = hiwl();
        let paths = |question: usize, names: &[String]| -> Vec<String> {
            let question = &tree.questions()[question].name;
            names.iter().map(|name| format!("{question}/{name}")).collect()
        };
        let networks = [
            ("stage1", paths(0, &first.outputs.stage1)),
            ("stage2", paths(1, &first.outputs.stage2)),
        ];
        let scheme = Scheme::new(tree.clone(), networks);
        let scheme = scheme.map_err(|what| Flaw::Value(format!("outputs: {what}")))?;
        let architectures = vec![first.architecture; 2];
        Ok(Self {
            untrained: first.untrained,
            provenance: first.provenance,
            ..Self::new(scheme, architectures, first.input)
        })
    }

    fn from_second(second: Second) -> Result<Self, Flaw> {
        let named = second.networks.iter().map(|network| (&network.name, network.outputs.clone()));
        let mut scheme = Scheme::new(second.tree, named).map_err(Flaw::Value)?;
        for (question, calibration) in second.calibration {
            scheme.calibrate(&question, calibration).map_err(Flaw::Value)?;
        }
        let architectures = second.networks.into_iter().map(|n| n.architecture).collect();
        // What stands there in format 2 has no tensors.
        let oddness = second.oddness.filter(|_| second.format > 2);
        let oddness: Option<About> =
            oddness.map(serde_json::from_value).transpose().map_err(Flaw::Json)?;
        if second.format > 2 && oddness.is_none() {
            return Err(Flaw::Value("oddness is missing".into()));
        }
        let scheme = scheme.with_oddness(oddness.is_some());
        Ok(Self {
            untrained: second.untrained,
            extras: Extras {
                training_scale: second.training_scale,
                operating_point: second.operating_point,
                oddness,
            },
            provenance: second.provenance,
            ..Self::new(scheme, architectures, second.input)
        })
    }

    /// Whether every value makes sense; if not, which does not.
    ///
    /// # Errors
    /// A phrase for a person.
    pub fn check(&self) -> Result<(), String> {
        let Input { size, mean, std, .. } = &self.input;
        let networks = self.scheme.networks().len();
        let scale = self.extras.training_scale.unwrap_or(1.0);
        let rules = [
            (networks <= limits::model::NETWORKS, "more networks than 64"),
            (networks == self.architectures.len(), "not an architecture for every network"),
            ((32..=4096).contains(size), "input.size is not in 32…4096"),
            (mean.iter().all(|v| v.is_finite()), "input.mean is not finite"),
            (std.iter().all(|v| v.is_finite() && *v > 0.0), "input.std is not positive"),
            (scale.is_finite() && scale > 0.0, "training_scale is not positive"),
        ];
        if let Some((_, what)) = rules.iter().find(|(holds, _)| !holds) {
            return Err((*what).into());
        }
        self.architectures.iter().try_for_each(check)?;
        if self.architectures.iter().any(|own| own.image.is_some_and(|side| side != *size)) {
            return Err("architecture.image is not input.size".into());
        }
        if let Some(card) = &self.provenance.card {
            card.check()?;
        }
        if let Some(about) = &self.extras.oddness {
            about.check()?;
            let first = self.networks().next();
            let features = first.map(|(network, own)| (&network.name, own.plan().features));
            if features != Some((&about.network, about.features)) {
                return Err("oddness: its features are not those of the first network".into());
            }
        }
        self.scheme.columns().map(|_| ())
    }
}

/// Bounds far beyond B7's 2.0 and 3.1 keep a hostile file from asking for
/// networks that fill the memory.
fn check(architecture: &Architecture) -> Result<(), String> {
    let Architecture { width, depth, dropout, bn_eps, image, .. } = *architecture;
    let rules = [
        (width > 0.0 && width <= 8.0, "architecture.width is not in 0…8"),
        (depth > 0.0 && depth <= 16.0, "architecture.depth is not in 0…16"),
        ((0.0..1.0).contains(&dropout), "architecture.dropout is not in 0…1"),
        (bn_eps > 0.0 && bn_eps < 1.0, "architecture.bn_eps is not in 0…1"),
        (
            image.is_none_or(|side| (32..=4096).contains(&side)),
            "architecture.image is not in 32…4096",
        ),
        (
            image.is_none_or(|side| side % 16 == 0),
            "architecture.image is not a multiple of 16, the side of its patches",
        ),
    ];
    if let Some((_, what)) = rules.iter().find(|(holds, _)| !holds) {
        return Err((*what).into());
    }
    let product = |shape: &[usize]| shape.iter().fold(1usize, |n, &side| n.saturating_mul(side));
    let parameters = parameters(architecture, 1);
    let values = parameters.iter().map(|parameter| product(&parameter.shape));
    match values.fold(0, usize::saturating_add) {
        values if values > VALUES => {
            Err(format!("architecture: {values} parameters; at most {VALUES} are possible"))
        }
        _ => Ok(()),
    }
}
