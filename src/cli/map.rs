//! `hiwl map`: all galaxies of a run on a plane, as a table and a picture.

use std::collections::HashMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use clap::Args;

use super::terminal::{format, shown};
use super::{CliError, Exit, of_vectors, print, signals, usage};
use crate::draw::cloud::{self, Cloud, Legend, Points};
use crate::draw::colours;
use crate::labels::{LabelColumns, LabelTable};
use crate::pipeline::Stop;
use crate::storage::output;
use crate::vectors::tsne::Settings;
use crate::vectors::{self, Located, Map, MapOptions, Method, VectorError};

/// Lay out the galaxies of a run on a plane: alike beside alike.
///
/// The run must hold vectors (`hiwl embed`). By t-SNE, whose distances mean little
/// and whose neighbours are neighbours, or by the first two principal components.
/// The same run, seed and settings give the same map, on any machine.
///
/// Several runs, such as those of two models over the same galaxies, are drawn side
/// by side, each laid out by itself; with one seed and the same listing they show the
/// same galaxies.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  hiwl map night1 --picture map.svg --output map.csv
  hiwl map night1 --colour oddness --picture odd.svg
  hiwl map hiwl plain --labels labels.csv --picture figure6.svg")]
pub struct Arguments {
    /// The folders of runs, or their URLs.
    #[arg(required = true, value_name = "DIR")]
    folders: Vec<PathBuf>,

    /// How vectors become places.
    #[arg(long, value_enum, default_value_t)]
    method: Method,

    /// At most so many galaxies of each run, drawn at random.
    #[arg(long, value_name = "N", default_value_t = 5000, value_parser = clap::value_parser!(u32).range(3..=1_000_000))]
    sample: u32,

    /// Random seed of the draw.
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,

    /// t-SNE: how many neighbours a galaxy has, about.
    #[arg(long, value_name = "N", default_value_t = 30.0, value_parser = perplexity)]
    perplexity: f64,

    /// t-SNE: steps.
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(250..=100_000))]
    iterations: u32,

    /// What colours tell: label, confidence or oddness.
    #[arg(long, value_enum, default_value_t)]
    colour: Colour,

    /// A label table, whose classes are shown in place of the catalog's; galaxies
    /// that it lacks are left out of the picture.
    #[arg(short, long, value_name = "TABLE", requires = "picture")]
    labels: Option<PathBuf>,

    /// The label table's column of ids.  [default: the first usual one]
    #[arg(long = "id", value_name = "COLUMN", requires = "labels")]
    id_column: Option<String>,

    /// Write a table: run, row, id, x, y, label, confidence, oddness, ra, dec.
    #[arg(short, long, value_name = "FILE.csv", required_unless_present = "picture")]
    output: Option<PathBuf>,

    /// Draw a picture.
    #[arg(short, long, value_name = "FILE.svg")]
    picture: Option<PathBuf>,
}

/// What colours tell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Colour {
    /// The class.
    #[default]
    Label,
    /// Its probability.
    Confidence,
    /// How odd a galaxy is.
    Oddness,
}

fn perplexity(text: &str) -> Result<f64, String> {
    let value: Option<f64> = text.parse().ok().filter(|value| (2.0..=1000.0).contains(value));
    value.ok_or_else(|| "a number from 2 to 1000".to_owned())
}

impl Arguments {
    pub(super) fn run(self) -> Result<Exit, CliError> {
        let read: Vec<&Path> = self.labels.iter().map(PathBuf::as_path).collect();
        let outputs =
            [(self.output.as_deref(), output::CSV), (self.picture.as_deref(), output::SVG)];
        output::refuse_all(&outputs, &read).map_err(usage)?;
        if self.colour != Colour::Label && self.labels.is_some() {
            return Err(usage(anyhow!("--labels colours by label: leave --colour away")));
        }
        if self.colour != Colour::Label && self.picture.is_none() {
            return Err(usage(anyhow!("--colour is of a picture: name one with --picture")));
        }
        let id = self.id_column.as_deref();
        let columns = LabelColumns { id, foreign_splits: true, ..LabelColumns::default() };
        let labels = self.labels.as_ref().map(|path| LabelTable::read(path, None, columns));
        let labels = labels.transpose().map_err(usage)?;
        let stop = Stop::new();
        signals::stop_on_signal(stop.clone())?;
        let iterations = self.iterations as usize;
        let options = MapOptions {
            method: self.method,
            sample: self.sample as usize,
            seed: self.seed,
            tsne: Settings { perplexity: self.perplexity, iterations },
        };
        let mut maps = Vec::new();
        for folder in &self.folders {
            match vectors::map(folder, &options, &stop) {
                Err(VectorError::Stopped) => {
                    return Ok(stop.signal().map_or(Exit::Incomplete, Exit::Signal));
                }
                found => maps.push((folder.as_path(), found.map_err(of_vectors)?)),
            }
        }
        let mut said = String::new();
        maps.iter().for_each(|(folder, map)| said += &told(folder, map));
        // What may be refused is made before anything is written.
        let drawn = self.picture.as_ref().map(|path| {
            let (clouds, legend) = self.clouds(&maps, labels.as_ref())?;
            Ok::<_, CliError>((path, cloud::draw(&clouds, &legend)))
        });
        let drawn = drawn.transpose()?;
        if let Some(path) = &self.output {
            output::write(path, &table(&maps)?, &[])?;
            let _ = writeln!(said, "{}", shown::line(path.display()));
        }
        if let Some((path, picture)) = drawn {
            output::write(path, picture.as_bytes(), &[])?;
            let _ = writeln!(said, "{}", shown::line(path.display()));
        }
        print(&said)?;
        Ok(Exit::Ok)
    }

    /// What is drawn.
    fn clouds(
        &self,
        maps: &[(&Path, Map)],
        labels: Option<&LabelTable>,
    ) -> Result<(Vec<Cloud>, Legend), CliError> {
        let of_number = |name: &str, low: f64, high: f64, of: &dyn Fn(&Located) -> Option<f32>| {
            let clouds: Vec<Cloud> = maps
                .iter()
                .map(|(folder, map)| {
                    let told =
                        map.galaxies.iter().filter_map(|galaxy| Some((of(galaxy)?, galaxy.at)));
                    let part = |value: f32| (f64::from(value) - low) / (high - low);
                    self.cloud(folder, map, steps(told.map(|(value, at)| (part(value), at))))
                })
                .collect();
            let legend = Legend::Scale { name: name.to_owned(), low, high };
            (clouds, legend)
        };
        match (self.colour, labels) {
            (Colour::Label, None) => {
                // A class has one colour, whatever the order of a model's own.
                let mut classes: Vec<&str> = Vec::new();
                for class in maps.iter().flat_map(|(_, map)| &map.classes) {
                    if !classes.contains(&class.as_str()) {
                        classes.push(class);
                    }
                }
                let clouds = maps.iter().map(|(folder, map)| {
                    let label = |galaxy: &Located| Some(galaxy.label.clone());
                    self.cloud(folder, map, classed(map, &classes, label))
                });
                Ok((clouds.collect(), Legend::Names))
            }
            (Colour::Label, Some(table)) => {
                let of: HashMap<&str, usize> =
                    table.rows.iter().map(|row| (row.id.as_str(), row.class)).collect();
                // In the model's order, and the table's own after them.
                let of_model = maps.iter().flat_map(|(_, map)| &map.classes);
                let mut classes: Vec<&str> = Vec::new();
                for class in of_model.filter(|class| table.classes.contains(class)) {
                    if !classes.contains(&class.as_str()) {
                        classes.push(class);
                    }
                }
                for class in &table.classes {
                    if !classes.contains(&class.as_str()) {
                        classes.push(class);
                    }
                }
                let label = |galaxy: &Located| {
                    of.get(galaxy.id.as_str()).map(|class| table.classes[*class].clone())
                };
                let known =
                    |(_, map): &(&Path, Map)| map.galaxies.iter().any(|g| label(g).is_some());
                if !maps.iter().all(known) {
                    return Err(usage(anyhow!(
                        "the label table has none of the galaxies of a map"
                    )));
                }
                let clouds = maps
                    .iter()
                    .map(|(folder, map)| self.cloud(folder, map, classed(map, &classes, label)));
                Ok((clouds.collect(), Legend::Names))
            }
            (Colour::Confidence, None) => {
                Ok(of_number("confidence", 0.0, 1.0, &|galaxy| Some(galaxy.confidence)))
            }
            (Colour::Oddness, None) => {
                let tells = |map: &Map| map.galaxies.iter().any(|galaxy| galaxy.oddness.is_some());
                if let Some((folder, _)) = maps.iter().find(|(_, map)| !tells(map)) {
                    let folder = shown::line(folder.display());
                    return Err(usage(anyhow!("the model of {folder} does not tell oddness")));
                }
                Ok(of_number("oddness (percentile)", 0.0, 100.0, &|galaxy| galaxy.oddness))
            }
            (_, Some(_)) => Err(usage(anyhow!("--labels colours by label: leave --colour away"))),
        }
    }

    fn cloud(&self, folder: &Path, map: &Map, points: Vec<Points>) -> Cloud {
        let name = folder.file_name().unwrap_or(folder.as_os_str()).to_string_lossy();
        let drawn: usize = points.iter().map(|points| points.places.len()).sum();
        let method = if self.method == Method::Tsne { "t-SNE" } else { "principal components" };
        let axes = match map.explained {
            Some([first, second]) => [
                format!("first component ({:.0} % of the variance)", 100.0 * first),
                format!("second component ({:.0} %)", 100.0 * second),
            ],
            None => Default::default(),
        };
        let galaxies = format::counted(drawn as u64, "galaxy", "galaxies");
        let title = format!("{name}: {method} of {galaxies}");
        Cloud { title, axes, points }
    }
}

/// Galaxies by class; those without one are left out.
fn classed(map: &Map, classes: &[&str], label: impl Fn(&Located) -> Option<String>) -> Vec<Points> {
    let of = classes.len();
    let mut points: Vec<Points> = (0..of)
        .map(|place| Points {
            name: classes[place].to_owned(),
            colour: colours::class(place, of),
            places: Vec::new(),
        })
        .collect();
    for galaxy in &map.galaxies {
        let class = label(galaxy).and_then(|name| classes.iter().position(|own| *own == name));
        if let Some(class) = class {
            points[class].places.push(galaxy.at);
        }
    }
    points
}

/// Places by a number from 0 to 1, in as many colours as the eye tells apart.
fn steps(told: impl Iterator<Item = (f64, [f64; 2])>) -> Vec<Points> {
    const STEPS: usize = 32;
    let mut points: Vec<Points> = (0..STEPS)
        .map(|step| Points {
            name: String::new(),
            colour: colours::viridis(step as f32 / (STEPS - 1) as f32),
            places: Vec::new(),
        })
        .collect();
    for (part, at) in told {
        let step = (part.clamp(0.0, 1.0) * STEPS as f64) as usize;
        points[step.min(STEPS - 1)].places.push(at);
    }
    points
}

/// What a person is told of a map.
fn told(folder: &Path, map: &Map) -> String {
    let (shown_of, of) = (map.galaxies.len() as u64, map.of);
    let galaxies = format::counted(shown_of, "galaxy", "galaxies");
    let mut text = format!("{}: {galaxies}", shown::line(folder.display()));
    if of > shown_of {
        text += &format!(" of {}, drawn at random", format::count(of));
    }
    if let Some([first, second]) = map.explained {
        let share = 100.0 * (first + second);
        text += &format!("; the two components have {share:.1} % of the variance");
    }
    if let Some(divergence) = map.divergence {
        text += &format!("; divergence {divergence:.3}");
    }
    if map.missing > 0 {
        let rows = format::counted(map.missing, "row is", "rows are");
        text += &format!("; {rows} not there yet");
    }
    text + "\n"
}

fn table(maps: &[(&Path, Map)]) -> Result<Vec<u8>, csv::Error> {
    let mut lines = csv::Writer::from_writer(Vec::new());
    lines.write_record([
        "run",
        "row",
        "id",
        "x",
        "y",
        "label",
        "confidence",
        "oddness",
        "ra",
        "dec",
    ])?;
    for (folder, map) in maps {
        let run = folder.display().to_string();
        for galaxy in &map.galaxies {
            let number = |value: Option<f64>| value.map_or_else(String::new, |v| v.to_string());
            lines.write_record([
                &run,
                &galaxy.row.to_string(),
                &galaxy.id,
                &galaxy.at[0].to_string(),
                &galaxy.at[1].to_string(),
                &galaxy.label,
                &galaxy.confidence.to_string(),
                &galaxy.oddness.map_or_else(String::new, |value| value.to_string()),
                &number(galaxy.position.map(|[ra, _]| ra)),
                &number(galaxy.position.map(|[_, dec]| dec)),
            ])?;
        }
    }
    lines.into_inner().map_err(|error| error.into_error().into())
}
