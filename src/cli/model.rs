//! `hiwl model`: what a model file is, and how to make one.

use std::{fmt::Write, path::PathBuf};

use anyhow::anyhow;
use clap::{Args, Subcommand, ValueEnum};

use super::calibrate::Calibrate;
use super::card::{self, MakeCard};
use super::oddness::Oddness;
use super::terminal::shown;
use super::{CliError, Exit, print, print_json, usage};
use crate::{
    cli::terminal::format,
    cutout::colour,
    model::{
        architecture::{Architecture, Padding},
        backbone::Backbone,
        description::{Description, Input, Provenance},
        import,
        model_file::{Model, StoredPrecision},
        shipped,
    },
    storage::output,
    train::run::average,
    tree::{Calibration, Scheme},
};

/// The model that was asked for, that of the environment, or the one that comes
/// with the program.
///
/// # Errors
/// Where nothing was asked for and the program came without.
pub(super) fn chosen(asked: Option<PathBuf>) -> Result<PathBuf, CliError> {
    let environment = || std::env::var_os("HIWL_MODEL").map(PathBuf::from);
    asked.or_else(environment).or_else(shipped::find).ok_or_else(|| {
        let name = shipped::NAME;
        usage(anyhow!(
            "no model: give one with --model FILE, set HIWL_MODEL, or put {name} beside the program"
        ))
    })
}

/// Look at model files, and make them.
#[derive(Debug, Subcommand)]
pub enum Command {
    Info(Info),
    New(New),
    Import(Import),
    Average(Average),
    Calibrate(Box<Calibrate>),
    Oddness(Box<Oddness>),
    Card(Box<MakeCard>),
}

impl Command {
    pub(super) fn run(self) -> Result<Exit, CliError> {
        match self {
            Self::Info(arguments) => arguments.run(),
            Self::New(arguments) => arguments.run(),
            Self::Import(arguments) => arguments.run(),
            Self::Average(arguments) => arguments.run(),
            Self::Calibrate(arguments) => arguments.run(),
            Self::Oddness(arguments) => arguments.run(),
            Self::Card(arguments) => arguments.run(),
        }
    }
}

/// Print what a model file says of itself.
///
/// The file is checked as `hiwl classify` would: complete, finite, of the
/// architecture that it names.
#[derive(Debug, Args)]
pub struct Info {
    /// The model file.
    file: PathBuf,

    /// Print the description as JSON, as it stands in the file.
    #[arg(long)]
    json: bool,

    /// Print only the model card: what the model was measured to do, and its text.
    #[arg(long, conflicts_with = "json")]
    card: bool,
}

impl Info {
    fn run(self) -> Result<Exit, CliError> {
        let model = Model::read(&self.file).map_err(usage)?;
        let description = &model.description;
        if self.json {
            print_json(serde_json::to_string_pretty(description)?)?;
            return Ok(Exit::Ok);
        }
        if self.card {
            let card = description.provenance.card.as_ref();
            let name = shown::line(self.file.display());
            let card = card.ok_or_else(|| {
                usage(anyhow!("{name} has no card: `hiwl model card` measures and writes one"))
            })?;
            print(&card::page(card))?;
            return Ok(Exit::Ok);
        }
        let parameters = |weights: &crate::model::weights::Weights| -> u64 {
            weights.iter().map(|(_, tensor)| tensor.elem_count() as u64).sum()
        };
        let input = &description.input;
        let mut out = String::new();
        writeln!(out, "{}", shown::line(self.file.display()))?;
        if description.untrained {
            writeln!(out, "  UNTRAINED: its labels mean nothing")?;
        }
        let tree = description.scheme.tree();
        let mut rows = vec![
            ("format".to_owned(), description.format().to_string()),
            ("classes".into(), tree.class_names().join(", ")),
        ];
        for ((network, architecture), weights) in description.networks().zip(&model.networks) {
            let plan = architecture.plan();
            let blocks = match architecture.backbone {
                Backbone::Efficientnet => {
                    let blocks = architecture.layers().blocks.len() as u64;
                    format::counted(blocks, "block, ", "blocks, ")
                }
                _ => String::new(),
            };
            let name = network.spoken();
            let outputs = network.heads.iter().map(|head| {
                let names = head.answers.iter().map(|&answer| tree.answers()[answer].name.as_str());
                let question = &tree.questions()[head.question];
                let after: Vec<String> = question.after.iter().map(|&a| tree.path(a)).collect();
                let after = match &after[..] {
                    [] => String::new(),
                    after => format!(" after {}", after.join(", ")),
                };
                format!("{}{after}: {}", question.name, names.collect::<Vec<_>>().join(", "))
            });
            rows.extend([
                (
                    name.clone(),
                    format!(
                        "{}, {blocks}{}, {}",
                        architecture.name,
                        format::counted(plan.features as u64, "feature", "features"),
                        format::counted(parameters(weights), "value", "values")
                    ),
                ),
                (String::new(), outputs.collect::<Vec<_>>().join("; ")),
            ]);
        }
        rows.extend([
            ("input".to_owned(), format!("{0} × {0} pixels, centre crop", input.size)),
            ("mean of R, G, B".into(), format!("{:?}", input.mean)),
            ("standard deviation".into(), format!("{:?}", input.std)),
            ("bands as R, G, B".into(), input.bands.join(", ")),
            ("RGB profile".into(), colours(input)),
            ("SHA-256".into(), model.digest.clone().unwrap_or_default()),
        ]);
        if let Some(scale) = description.extras.training_scale {
            rows.push(("training scale".into(), format!("{scale} × petroR90 per pixel")));
        }
        if let Some(point) = &description.extras.operating_point {
            rows.push(("operating point".into(), point.to_string()));
        }
        if let Some(about) = &description.extras.oddness {
            rows.push((
                "oddness".into(),
                format!(
                    "{} of {} of {}, of {} learned from and {}",
                    format::counted(about.components as u64, "direction", "directions"),
                    format::counted(about.features as u64, "feature", "features"),
                    about.network,
                    format::counted(about.fitted, "galaxy", "galaxies"),
                    format::counted(about.held_out, "other", "others")
                ),
            ));
        }
        for head in description.scheme.heads() {
            if let Some(calibration) = &head.calibration {
                let question = &tree.questions()[head.question].name;
                let Calibration { temperature, offset, decision, concentrations } = calibration;
                let what = if *concentrations { ", concentrations" } else { "" };
                let text =
                    format!("{question}: temperature {temperature}, offsets {offset:?}{what}");
                rows.push(("calibration".into(), text));
                if !decision.is_empty() {
                    rows.push((String::new(), format!("answers are chosen with {decision:?}")));
                }
            }
        }
        for (name, value) in rows {
            writeln!(out, "  {name:<20}{value}")?;
        }
        if let Some(card) = &description.provenance.card {
            out += &card::lines(card);
        }
        let provenance = Provenance { card: None, ..description.provenance.clone() };
        let provenance = serde_json::to_string_pretty(&provenance)?;
        writeln!(out, "  provenance          {}", provenance.replace('\n', "\n  "))?;
        print(&out)?;
        Ok(Exit::Ok)
    }
}

/// The colours that a model is shown, by the name that this program has for them.
fn colours(input: &Input) -> String {
    let named = &input.rgb_profile;
    match colour::for_model(named, &input.bands) {
        Some(profile) if profile.name != *named => {
            format!("{} (which the file calls {named})", profile.name)
        }
        _ => named.clone(),
    }
}

/// Make an untrained model of HIWL's tree with seeded weights.
///
/// For training from scratch and for trying the program out: the labels of
/// such a model mean nothing, and the file says so.
#[derive(Debug, Args)]
pub struct New {
    /// The file to write.
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,

    /// efficientnet-b0 to efficientnet-b7, resnet34, resnet50, vgg16, googlenet,
    /// vit-b16, resnet26, dieleman, or a name of your own with --width and --depth
    /// (an EfficientNet).
    #[arg(
        long,
        visible_alias = "backbone",
        value_name = "NAME",
        default_value = "efficientnet-b1"
    )]
    architecture: String,

    /// Multiplier of B0's channels.
    #[arg(long, requires = "depth")]
    width: Option<f64>,

    /// Multiplier of B0's blocks a stage.
    #[arg(long, requires = "width")]
    depth: Option<f64>,

    /// Side of the crop in pixels.
    #[arg(long, value_name = "PIXELS", default_value_t = 240)]
    size: usize,

    /// Random seed: the same one gives the same file.
    #[arg(long, default_value_t = 0)]
    seed: u64,

    /// How matrices are stored.
    #[arg(long, value_enum, default_value_t = StoredPrecision::F32)]
    precision: StoredPrecision,
}

impl New {
    fn run(self) -> Result<Exit, CliError> {
        let architecture = match (self.width, self.depth) {
            (Some(width), Some(depth)) => {
                let b0 = Architecture::efficientnet(0).ok_or_else(|| anyhow!("B0 exists"))?;
                Architecture { name: self.architecture, width, depth, ..b0 }
            }
            _ => Architecture::named(&self.architecture).ok_or_else(|| {
                usage(anyhow!(
                    "no architecture `{}`: {}, or your own with --width and --depth",
                    self.architecture,
                    Architecture::names()
                ))
            })?,
        }
        .for_images(self.size);
        let asked = vec![architecture.clone(); 2];
        Description::new(Scheme::hiwl(), asked, Input::paper(self.size))
            .check()
            .map_err(|what| usage(anyhow!("{what}")))?;
        output::refuse(&self.output, &[]).map_err(usage)?;
        let model = Model::seeded(architecture, self.size, self.seed)?;
        let digest = model.write(&self.output, self.precision)?;
        print(&format!("{}  {}\n", digest, shown::line(self.output.display())))?;
        Ok(Exit::Ok)
    }
}

/// Make a model of other people's weights, or of those that a run kept.
///
/// Reads the weights of any backbone as torchvision writes them, of an EfficientNet
/// also as timm and EfficientNet-PyTorch do, and of an EfficientNet-Lite
/// (safetensors or PyTorch's .pth). Without --classes they become HIWL's two networks: one
/// file gives both their backbone. A head that does not fit (4 outputs for
/// stage 1, 2 for stage 2, or as many as there are --classes) is made anew, and
/// the model then says that it is untrained.
///
/// Other people's weights do not say how pictures were normalised, nor how layers pad and
/// which epsilon batch norm has: what is not given is that of the paper and of the library,
/// is printed, and stands in the file. (timm's `tf_` models want --bn-eps 1e-3 --padding
/// same; most weights from ImageNet want its --mean and --std.)
///
/// Weights that a training run kept (RUN/checkpoints/) say what their outputs
/// mean, and keep it: give those of each of its models, in their order.
#[derive(Debug, Args)]
pub struct Import {
    /// Weights of the first network, and of those after it.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    /// What the outputs of a single network mean, in their order.
    #[arg(long, value_name = "CLASS,...", value_delimiter = ',')]
    classes: Option<Vec<String>>,

    /// Weights of HIWL's 2-class network.  [default: FILE with a new head]
    #[arg(long, value_name = "FILE", conflicts_with = "classes")]
    stage2: Option<PathBuf>,

    /// The model file to write.
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,

    /// Such as efficientnet-b0 or resnet50.  [default: found by the shapes]
    #[arg(long, value_name = "NAME")]
    architecture: Option<String>,

    /// Epsilon of batch norm.  [default: the library's]
    #[arg(long, value_name = "EPS")]
    bn_eps: Option<f64>,

    /// Padding of convolutions.  [default: the library's]
    #[arg(long, value_enum)]
    padding: Option<PaddingChoice>,

    /// Side of the crop in pixels.  [default: 240, or what the weights say]
    #[arg(long, value_name = "PIXELS")]
    size: Option<usize>,

    /// Means of R, G and B, of 0 to 1, that were subtracted when the weights were
    /// trained (ImageNet's: 0.485,0.456,0.406).  [default: the paper's]
    #[arg(long, value_name = "R,G,B", value_parser = three_numbers)]
    mean: Option<[f32; 3]>,

    /// Standard deviations that they were then divided by (ImageNet's:
    /// 0.229,0.224,0.225).  [default: the paper's]
    #[arg(long, value_name = "R,G,B", value_parser = three_numbers)]
    std: Option<[f32; 3]>,

    /// Bands that became R, G and B.  [default: i,r,g]
    #[arg(long, value_name = "R,G,B", value_parser = super::bands::parse)]
    bands: Option<[String; 3]>,

    /// The colour profile that the pictures were made by, as `hiwl classify --profile`
    /// has it.  [default: lupton]
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,

    /// Random seed of heads that are made anew.
    #[arg(long, default_value_t = 0)]
    seed: u64,

    /// How matrices are stored.
    #[arg(long, value_enum, default_value_t = StoredPrecision::F32)]
    precision: StoredPrecision,
}

/// Average the weights that training runs kept.
///
/// Each network of the model becomes the mean of those given that have its name
/// (RUN/checkpoints/stage1-epoch-*.safetensors and stage2-…): epochs of one
/// run, or of runs of which one began with the other's model. The mean is
/// often better than any of them and as fast; `hiwl evaluate` tells.
#[derive(Debug, Args)]
pub struct Average {
    /// The model that the weights are of: its use, its provenance.
    model: PathBuf,

    /// Weights that runs kept.
    #[arg(required = true)]
    weights: Vec<PathBuf>,

    /// The model file to write.
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,

    /// How matrices are stored.
    #[arg(long, value_enum, default_value_t = StoredPrecision::F16)]
    precision: StoredPrecision,
}

impl Average {
    fn run(self) -> Result<Exit, CliError> {
        let inputs = self.weights.iter().chain([&self.model]).map(PathBuf::as_path);
        output::refuse(&self.output, &inputs.collect::<Vec<_>>()).map_err(usage)?;
        let before = Model::read(&self.model).map_err(usage)?;
        let model = average(before.clone(), &self.weights).map_err(usage)?;
        let digest = model.write(&self.output, self.precision)?;
        let mut said = format!("{digest}  {}\n", shown::line(self.output.display()));
        let off = taken_off(&before, &model);
        if !off.is_empty() {
            said += &format!("taken off, as they were of the old weights: {}\n", off.join(", "));
        }
        print(&said)?;
        Ok(Exit::Ok)
    }
}

/// Padding of convolutions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum PaddingChoice {
    /// PyTorch's.
    Symmetric,
    /// TensorFlow's.
    Same,
}

impl Import {
    fn run(self) -> Result<Exit, CliError> {
        let inputs = self.files.iter().chain(&self.stage2).map(PathBuf::as_path);
        let inputs: Vec<_> = inputs.collect();
        output::refuse(&self.output, &inputs).map_err(usage)?;
        let architecture = match self.architecture {
            Some(name) => Some(Architecture::named(&name).ok_or_else(|| {
                usage(anyhow!("no architecture `{name}`: {}", Architecture::names()))
            })?),
            None => None,
        };
        if let Some(name) = self.profile.as_deref().filter(|name| colour::profile(name).is_none()) {
            let known: Vec<&str> =
                colour::profiles().iter().map(|profile| &*profile.name).collect();
            return Err(usage(anyhow!("no colour profile `{name}`: {}", known.join(", "))));
        }
        let options = import::ImportOptions {
            files: self.files.into_iter().chain(self.stage2).collect(),
            classes: self.classes,
            architecture,
            bn_eps: self.bn_eps,
            padding: self.padding.map(|padding| match padding {
                PaddingChoice::Symmetric => Padding::Symmetric,
                PaddingChoice::Same => Padding::Same,
            }),
            input: self.size.map(Input::paper),
            fed: import::Fed {
                mean: self.mean,
                std: self.std,
                bands: self.bands,
                profile: self.profile,
            },
            seed: self.seed,
            program: Some(format!("hiwl {}", env!("CARGO_PKG_VERSION"))),
        };
        let model = import::model(&options).map_err(usage)?;
        let digest = model.write(&self.output, self.precision)?;
        let untrained = if model.description.untrained {
            "  (untrained: some weights were made anew; --classes keeps a head of other classes)"
        } else {
            ""
        };
        let name = shown::line(self.output.display());
        print(&format!("{digest}  {name}{untrained}\n{}", assumed(&model.description)))?;
        Ok(Exit::Ok)
    }
}

/// What a model no longer says of itself.
fn taken_off(before: &Model, after: &Model) -> Vec<&'static str> {
    let says = |model: &Model| {
        let description = &model.description;
        let calibrated = description.scheme.heads().filter(|head| head.calibration.is_some());
        [
            ("calibration", calibrated.count()),
            ("operating point", usize::from(description.extras.operating_point.is_some())),
            ("card", usize::from(description.provenance.card.is_some())),
            ("oddness", usize::from(model.oddness.is_some())),
        ]
    };
    let pairs = says(before).into_iter().zip(says(after));
    pairs.filter(|((_, was), (_, is))| was > is).map(|((name, _), _)| name).collect()
}

/// What was taken for granted of weights that do not say it, and how to say it.
fn assumed(description: &Description) -> String {
    let names = description.provenance.recipe.as_ref().map(|recipe| &recipe["assumed"]);
    let names = names.and_then(serde_json::Value::as_array);
    let (input, architecture) = (&description.input, description.architectures.first());
    let (Some(names), Some(architecture)) = (names, architecture) else { return String::new() };
    let three = |values: [f32; 3]| values.map(|value| value.to_string()).join(",");
    let said = names.iter().filter_map(serde_json::Value::as_str).map(|name| {
        let value = match name {
            "size" => input.size.to_string(),
            "mean" => three(input.mean),
            "std" => three(input.std),
            "bands" => input.bands.join(","),
            "profile" => input.rgb_profile.clone(),
            "bn-eps" => architecture.bn_eps.to_string(),
            _ => match architecture.padding {
                Padding::Symmetric => "symmetric".to_owned(),
                Padding::Same => "same".to_owned(),
            },
        };
        format!("--{name} {value}")
    });
    match said.collect::<Vec<_>>() {
        said if said.is_empty() => String::new(),
        said => format!("assumed, as weights do not say it: {}\n", said.join(" ")),
    }
}

fn three_numbers(text: &str) -> Result<[f32; 3], String> {
    let numbers: Result<Vec<f32>, _> = text.split(',').map(|part| part.trim().parse()).collect();
    let numbers = numbers.ok().and_then(|numbers| <[f32; 3]>::try_from(numbers).ok());
    numbers.ok_or_else(|| "three numbers, for R, G and B, with commas".to_owned())
}
