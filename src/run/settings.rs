//! What decides a run's result, and how it is pinned in `run.json`.
//!
//! Invariants: the same settings and the same listing give the same bytes,
//! whichever process writes them and whenever: sorted keys, no times, no names
//! of machines. The SHA-256 of those bytes names the run. Whether a run can go
//! on is decided by its format's number, never by the program's version.

use std::collections::BTreeMap;
use std::path::Path;

use serde::de::Error as _;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::RunError;
use crate::engine::{Engine, Precision};
use crate::limits::settings::{FEATURES, RANGE};
use crate::model::model_file::Model;
use crate::source::Pin;
use crate::storage::digest::sha256;
use crate::storage::json::{Difference, Words, differences, json};
use crate::tree::{FeatureColumn, Naming, Scheme, Stage2};

/// The format of the runs that this program begins, and the last that it goes
/// on with. It is raised when `run.json`, the listing or the parts are laid out
/// otherwise, and when the same settings would give other rows. A run whose model
/// does not tell oddness, and that has no archives to know again, begins in format
/// 2, which has neither; one that keeps no features, and has no columns of votes and no
/// mosaics, in format 3; one without a joined table in format 4.
pub const FORMAT: u64 = 5;

/// Why a file of a run is not read.
#[derive(Debug)]
pub(super) enum Unread {
    /// It is no JSON, or not that of such a file.
    Json(serde_json::Error),
    /// It has a later format: this one.
    Newer(u64),
}

impl From<serde_json::Error> for Unread {
    fn from(error: serde_json::Error) -> Self {
        Self::Json(error)
    }
}

impl Unread {
    /// With the file's path, and the last format of it that is known.
    pub(super) fn at(self, path: &Path, known: u64) -> RunError {
        let path = path.to_owned();
        match self {
            Self::Json(source) => RunError::BadManifest { path, source },
            Self::Newer(found) => RunError::Newer { path, found, known },
        }
    }
}

/// What a person calls the settings.
const WORDS: Words = &[
    ("band_pattern", "band pattern"),
    ("image_column", "column of images"),
    ("carry", "carried columns"),
    ("stage2", "stage 2"),
    ("range_size", "rows per range"),
];

/// Everything that decides the result and is known before the inputs are
/// listed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The inputs as they were named, as absolute paths.
    pub inputs: Vec<String>,
    /// How the files of one cutout's bands are named.
    pub band_pattern: Option<String>,
    /// The bands, in the order that maps to R, G, B.
    pub bands: Vec<String>,
    /// The column of tables that holds ids, if one was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id_column: Option<String>,
    /// The column of tables that holds images, if one was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_column: Option<String>,
    /// The tables' columns that the catalog carries.
    pub carry: Vec<String>,
    /// The table that gave positions and these columns to cutouts by id, as an absolute
    /// path; what it gave stands in the listing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub join: Option<String>,
    /// The mosaics, as absolute paths, and the scale that was asked for; `None` where
    /// inputs are cutouts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mosaics: Option<Value>,
    /// The model.
    pub model: ModelIdentity,
    /// How cutouts become the network's input: size, RGB profile with its
    /// parameters, resampling.
    pub preparation: Value,
    /// How bands become colours, and at which scale; `None` in a run of pictures
    /// of which nothing was asked, and in those of the first version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub colours: Option<Value>,
    /// Whether any of it was asked for, and is not the default. Not pinned.
    #[serde(skip)]
    pub colours_asked: bool,
    /// Which rows networks after the first see.
    pub stage2: Stage2,
    /// What computed the networks, if not the default of its device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<Engine>,
    /// How the networks hold and multiply numbers.
    pub precision: Precision,
    /// Rows of a range.
    pub range_size: u64,
    /// Whether nobody asked for that size: then it is the most, and a new run has what
    /// its number of rows makes usual. Not pinned.
    #[serde(skip)]
    pub usual_ranges: bool,
}

/// Which model classifies.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelIdentity {
    /// SHA-256 of the model file.
    pub digest: String,
    /// Its name, for a person.
    pub name: String,
    /// Whether its weights come from a random generator.
    pub untrained: bool,
    /// What it answers; `None` for HIWL's tree, of which a catalog is that does
    /// not say otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheme: Option<Scheme>,
    /// Whether rows say how odd they are.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub oddness: bool,
    /// What rows keep of its features, if anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub features: Option<FeatureColumn>,
    /// What the columns of answers are, if no probabilities.
    #[serde(default, skip_serializing_if = "is_probabilities")]
    pub naming: Naming,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_probabilities(naming: &Naming) -> bool {
    *naming == Naming::Probabilities
}

impl ModelIdentity {
    /// That of the model which was read from `path`.
    pub fn of(model: &Model, path: &Path) -> Self {
        let name = path.file_name().unwrap_or(path.as_os_str());
        let scheme = &model.description.scheme;
        Self {
            digest: model.digest.clone().unwrap_or_default(),
            name: name.to_string_lossy().into_owned(),
            untrained: model.description.untrained,
            scheme: (!scheme.is_hiwl()).then(|| scheme.clone()),
            oddness: scheme.tells_oddness(),
            features: scheme.features(),
            naming: scheme.usual_naming(),
        }
    }

    /// What it answers.
    pub fn scheme(&self) -> Scheme {
        let scheme = self.scheme.clone().unwrap_or_else(Scheme::hiwl);
        let scheme = scheme.with_oddness(self.oddness).with_features(self.features);
        scheme.with_naming(self.naming)
    }
}

/// What the listing found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listing {
    /// Cutouts, each a row of the catalog.
    pub rows: u64,
    /// Digest of the rows' content.
    pub digest: String,
    /// Files that were passed over because they are no cutouts.
    pub skipped: u64,
    /// What was wrong with an input as a whole, such as a truncated archive.
    pub problems: Vec<String>,
    /// Identifiers that more than one row has.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub repeated_ids: u64,
    /// What a joined table left out: cutouts without a row, rows without a cutout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub joined: Option<String>,
    /// The archives and tables that hold cutouts, by path, as they were: one
    /// that was written anew holds other members, or elsewhere.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub archives: BTreeMap<String, Pin>,
    /// Folders among the inputs that were not empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub folders: Vec<String>,
    /// Folders in which cutouts lie that are files: not all of very many, but
    /// every place where a disk is mounted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub places: Vec<String>,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// The content of `run.json`.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// What the file's layout and the program's arithmetic are called: 1 for
    /// files without a number, [`FORMAT`] for those that this program begins.
    /// It decides whether a run can go on.
    pub format: u64,
    /// The version of the program that began the run: for whoever wants to
    /// know, and no setting.
    pub program: String,
    /// What was asked for.
    pub settings: Settings,
    /// What was found.
    pub listing: Listing,
}

impl Settings {
    /// Refuses what no run can have.
    pub(crate) fn check(&self) -> Result<(), RunError> {
        let length = self.model.features.map_or(1, |kept| kept.length);
        if !(1..=FEATURES).contains(&length) {
            let what = format!("vectors of {length} values are not possible: from 1 to {FEATURES}");
            return Err(RunError::BadSetting(what));
        }
        if (1..=RANGE).contains(&self.range_size) {
            return Ok(());
        }
        Err(RunError::BadSetting(format!(
            "a range of {} rows is not possible: from 1 to {RANGE}",
            self.range_size
        )))
    }

    /// In what `self`, found in a folder, differs from what is `asked` for.
    ///
    /// The model's name is for a person: the same weights under another are the
    /// same model. Default colours are none where none are pinned.
    pub(crate) fn differences(&self, asked: &Self) -> Vec<Difference> {
        let mut asked = asked.clone();
        asked.model.name.clone_from(&self.model.name);
        if asked.model.naming == Naming::Fractions && is_probabilities(&self.model.naming) {
            // A run of before Galaxy Zoo's names goes on as it was begun.
            asked.model.naming = self.model.naming;
        }
        if self.colours.is_none() && !asked.colours_asked {
            // A run without bands, or one that goes on as it was begun.
            asked.colours = None;
        }
        if asked.usual_ranges {
            asked.range_size = self.range_size;
        }
        // A folder is the same one with and without a slash behind its name.
        for (own, asked) in self.inputs.iter().zip(&mut asked.inputs) {
            if own.trim_end_matches('/') == asked.trim_end_matches('/') {
                asked.clone_from(own);
            }
        }
        differences(&json(self), &json(&asked), WORDS)
    }
}

/// The parts of `run.json` that all formats have.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    settings: Settings,
    listing: Listing,
}

impl Manifest {
    /// That of a new run.
    pub(super) fn new(settings: Settings, listing: Listing) -> Self {
        let program = env!("CARGO_PKG_VERSION").to_owned();
        let says_more = settings.model.oddness || !listing.archives.is_empty();
        let model = &settings.model;
        let has_columns = model.features.is_some() || !is_probabilities(&model.naming);
        let format = match (has_columns || settings.mosaics.is_some(), says_more) {
            _ if settings.join.is_some() => 5,
            (true, _) => 4,
            (false, true) => 3,
            (false, false) => 2,
        };
        Self { format, program, settings, listing }
    }

    /// The bytes of `run.json`.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut fields = serde_json::Map::new();
        fields.insert("settings".into(), self.settings_of_format());
        fields.insert("listing".into(), json(&self.listing));
        if self.format > 1 {
            fields.insert("format".into(), self.format.into());
            fields.insert("program".into(), self.program.clone().into());
        }
        let mut text = format!("{:#}", json(&fields));
        text.push('\n');
        text.into_bytes()
    }

    /// The manifest in these bytes, and its digest: the SHA-256 of the bytes
    /// in hexadecimal, as `sha256sum run.json` prints it.
    pub(super) fn from_bytes(bytes: &[u8]) -> Result<(Self, String), Unread> {
        let missing = |field| -> Unread { serde_json::Error::missing_field(field).into() };
        // The number first: what else a later format holds is not known here.
        let mut fields: serde_json::Map<String, Value> = serde_json::from_slice(bytes)?;
        let format = match fields.remove("format") {
            Some(format) => serde_json::from_value(format)?,
            None => 1,
        };
        if format > FORMAT {
            return Err(Unread::Newer(format));
        }
        let program = match (format, fields.get_mut("settings")) {
            (1, Some(settings)) => settings.as_object_mut().and_then(|it| it.remove("version")),
            _ => fields.remove("program"),
        };
        let program = serde_json::from_value(program.ok_or_else(|| missing("version"))?)?;
        let Content { settings, listing } = serde_json::from_value(Value::Object(fields))?;
        Ok((Self { format, program, settings, listing }, sha256(bytes)))
    }

    /// The settings as `run.json` has them. In format 1 the program's version
    /// was one of them; the parts of such a run say so to its end.
    fn settings_of_format(&self) -> Value {
        let mut settings = json(&self.settings);
        if let (1, Some(fields)) = (self.format, settings.as_object_mut()) {
            fields.insert("version".into(), self.program.clone().into());
        }
        settings
    }

    /// The settings as one line of JSON for the footers of parts. Of a long
    /// list of inputs only the beginning: `run.json` has it whole.
    pub(crate) fn footer_settings(&self) -> String {
        const INPUTS: usize = 16;
        let mut short = self.clone();
        let inputs = &mut short.settings.inputs;
        let more = inputs.len().saturating_sub(INPUTS);
        if more > 0 {
            inputs.truncate(INPUTS);
            inputs.push(format!("… and {more} more"));
        }
        json(&short.settings_of_format()).to_string()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::*;

    pub(crate) fn settings(range_size: u64) -> Settings {
        Settings {
            inputs: vec!["/data/galaxies".into()],
            band_pattern: None,
            bands: vec!["i".into(), "r".into(), "g".into()],
            id_column: None,
            image_column: None,
            mosaics: None,
            carry: Vec::new(),
            join: None,
            model: ModelIdentity {
                digest: "ab".repeat(32),
                name: "B1".into(),
                untrained: false,
                scheme: None,
                oddness: false,
                features: None,
                naming: Naming::default(),
            },
            preparation: json!({"size": 240, "rgb": {"name": "lupton", "q": 8.0, "stretch": 0.1}}),
            colours: None,
            colours_asked: false,
            stage2: Stage2::Routed,
            engine: None,
            precision: Precision::F32,
            range_size,
            usual_ranges: false,
        }
    }

    #[test]
    fn colours_are_pinned_where_there_are_bands_or_they_were_asked_for() {
        let pictures = settings(3);
        let mut asked = pictures.clone();
        asked.colours = Some(json!({"profile": "sdss"}));
        assert_eq!(pictures.differences(&asked), []);
        asked.colours_asked = true;
        assert_eq!(pictures.differences(&asked).len(), 1);
        let bands = asked.clone();
        assert_eq!(bands.differences(&asked), []);
        asked.colours = Some(json!({"profile": "des"}));
        assert_eq!(bands.differences(&asked)[0].to_string(), "colours profile: sdss → des");
        assert!(!json(&pictures).to_string().contains("colours"));
    }

    fn manifest() -> Manifest {
        let listing = Listing {
            rows: 7,
            digest: "cd".repeat(32),
            skipped: 1,
            problems: vec!["é".into()],
            ..Listing::default()
        };
        Manifest::new(settings(3), listing)
    }

    #[test]
    fn the_bytes_do_not_depend_on_how_the_value_was_made() {
        let mut other = manifest();
        other.settings.preparation =
            json!({"rgb": {"stretch": 0.1, "q": 8.0, "name": "lupton"}, "size": 240});
        assert_eq!(manifest().to_bytes(), other.to_bytes());
        let (read, digest) = Manifest::from_bytes(&manifest().to_bytes()).unwrap();
        assert_eq!(read, manifest());
        assert_eq!(read.to_bytes(), manifest().to_bytes());
        assert_eq!(digest, sha256(&manifest().to_bytes()));
    }

    /// Runs of before there were other trees go on, byte for byte; others say
    /// what their columns are.
    #[test]
    fn hiwl_is_not_named_and_every_other_tree_is() {
        let hiwl = settings(3).model;
        assert!(!json(&hiwl).to_string().contains("scheme"));
        assert!(hiwl.scheme().is_hiwl());
        let outputs = [vec!["a".to_owned()], vec!["b".to_owned()]];
        let scheme = Scheme::combined(None, &[("single", &outputs)]).unwrap();
        let mut other = settings(3);
        other.model.scheme = Some(scheme.clone());
        let manifest = Manifest::new(other.clone(), Listing::default());
        let (read, _) = Manifest::from_bytes(&manifest.to_bytes()).unwrap();
        assert_eq!(read.settings.model.scheme(), scheme);
        assert!(read.settings.differences(&other).is_empty());
        assert!(!read.settings.differences(&settings(3)).is_empty());
    }

    #[test]
    fn a_run_says_that_its_rows_tell_oddness_and_others_keep_their_format() {
        assert!(!json(&settings(3)).to_string().contains("oddness"));
        assert_eq!(manifest().format, 2);
        let mut odd = settings(3);
        odd.model.oddness = true;
        let manifest = Manifest::new(odd.clone(), Listing::default());
        let (read, _) = Manifest::from_bytes(&manifest.to_bytes()).unwrap();
        assert_eq!((read.format, read.settings.model.scheme().tells_oddness()), (3, true));
        assert!(read.settings.model.scheme().is_hiwl());
        assert!(!read.settings.differences(&settings(3)).is_empty());
    }

    #[test]
    fn a_run_that_keeps_features_says_so_and_is_of_a_later_format() {
        assert!(!json(&settings(3)).to_string().contains("features"));
        let mut keeps = settings(3);
        let kept = FeatureColumn { length: 64, components: true, half: false };
        keeps.model.features = Some(kept);
        let manifest = Manifest::new(keeps.clone(), Listing::default());
        let (read, _) = Manifest::from_bytes(&manifest.to_bytes()).unwrap();
        assert_eq!((read.format, read.settings.model.scheme().features()), (4, Some(kept)));
        let differences = read.settings.differences(&settings(3));
        assert!(differences.iter().any(|d| d.to_string().contains("features")), "{differences:?}");
    }

    #[test]
    fn a_run_with_a_joined_table_says_so_and_is_of_a_later_format() {
        assert!(!json(&settings(3)).to_string().contains("join"));
        let mut joined = settings(3);
        joined.join = Some("/data/table.csv".into());
        let manifest = Manifest::new(joined, Listing::default());
        let (read, _) = Manifest::from_bytes(&manifest.to_bytes()).unwrap();
        assert_eq!((read.format, read.settings.join.as_deref()), (5, Some("/data/table.csv")));
        assert!(!read.settings.differences(&settings(3)).is_empty());
    }

    /// Names of votes are the run's from its beginning; one of before goes on with its
    /// own, unless concentrations are asked for.
    #[test]
    fn a_run_says_what_its_columns_of_votes_are_called() {
        assert!(!json(&settings(3)).to_string().contains("naming"));
        let mut votes = settings(3);
        votes.model.naming = Naming::Fractions;
        let manifest = Manifest::new(votes.clone(), Listing::default());
        let (read, _) = Manifest::from_bytes(&manifest.to_bytes()).unwrap();
        assert_eq!(read.format, 4);
        assert_eq!(read.settings.model.scheme().naming(), Naming::Fractions);
        assert!(settings(3).differences(&votes).is_empty());
        votes.model.naming = Naming::Concentrations;
        assert!(!settings(3).differences(&votes).is_empty());
        assert!(!read.settings.differences(&votes).is_empty());
        assert!(!read.settings.differences(&settings(3)).is_empty());
    }

    /// A `run.json` of before there were other trees.
    #[test]
    fn a_run_of_before_is_hiwls_and_is_written_back_as_it_was() {
        let model = json!({ "digest": "73d4", "name": "hiwl-b1.safetensors", "untrained": false });
        let old = json!({
            "settings": {
                "version": "0.1.0", "inputs": ["/data"], "band_pattern": "{id}_{band}.fits",
                "bands": ["i", "r", "g"], "carry": [], "model": &model, "preparation": {},
                "stage2": "routed", "precision": "bf16", "range_size": 16384,
            },
            "listing": { "rows": 60, "digest": "7ae1", "skipped": 1, "problems": [] },
        });
        let (manifest, _) = Manifest::from_bytes(old.to_string().as_bytes()).unwrap();
        assert!(manifest.settings.model.scheme().is_hiwl());
        let again: Value = serde_json::from_slice(&manifest.to_bytes()).unwrap();
        assert_eq!(again["settings"]["model"], model);
        assert_eq!(again["settings"]["stage2"], "routed");
    }

    /// `run.json` as hiwl 0.1.0 wrote it, before formats had numbers.
    const FORMAT_1: &str = include_str!("format_1.json");

    #[test]
    fn a_run_without_a_number_is_read_and_keeps_its_bytes() {
        let (old, digest) = Manifest::from_bytes(FORMAT_1.as_bytes()).unwrap();
        assert_eq!((old.format, old.program.as_str()), (1, "0.1.0"));
        assert_eq!(old.to_bytes(), FORMAT_1.as_bytes());
        assert_eq!(digest, sha256(FORMAT_1.as_bytes()));
        // Its parts say what they said.
        assert!(old.footer_settings().ends_with(r#""stage2":"routed","version":"0.1.0"}"#));
        // The version is no setting: the program may have been updated.
        assert_eq!(old.settings.differences(&settings(3)), []);
        assert!(!manifest().footer_settings().contains("version"));
    }

    #[test]
    fn a_later_format_is_refused_by_its_number_whatever_else_it_holds() {
        let later = br#"{"format": 6, "runs": []}"#;
        let error = Manifest::from_bytes(later).unwrap_err().at(Path::new("run.json"), FORMAT);
        assert!(error.is_usage());
        assert_eq!(
            error.to_string(),
            "run.json: format 6, while this program reads up to 5: update it"
        );
        for broken in ["{}", r#"{"format": "2"}"#, r#"{"format": 2, "settings": {}}"#, "[]"] {
            let error = Manifest::from_bytes(broken.as_bytes()).unwrap_err();
            assert!(matches!(error, Unread::Json(_)), "{broken}");
        }
    }

    #[test]
    fn floats_of_any_kind_survive_a_resume() {
        for value in
            [0.1, 1.0 / 3.0, 5e-324, 1.797_693_134_862_315_7e308, 2.225_073_858_507_201e-308]
        {
            let mut asked = manifest();
            asked.settings.preparation = json!({ "stretch": value });
            let (there, _) = Manifest::from_bytes(&asked.to_bytes()).unwrap();
            assert_eq!(there.settings.differences(&asked.settings), [], "{value}");
        }
    }

    #[test]
    fn each_difference_is_named_with_both_values() {
        let there = settings(3);
        let mut asked = settings(4);
        asked.model.digest = "00".repeat(32);
        asked.preparation["rgb"]["q"] = json!(10.0);
        asked.carry = vec!["z".into(), "mag".into()];
        let found: Vec<String> =
            there.differences(&asked).iter().map(Difference::to_string).collect();
        assert_eq!(
            found,
            [
                "carried columns: none → z, mag".to_owned(),
                format!("model digest: {} → {}", "ab".repeat(32), "00".repeat(32)),
                "preparation rgb q: 8.0 → 10.0".to_owned(),
                "rows per range: 3 → 4".to_owned(),
            ]
        );
        asked.usual_ranges = true;
        assert!(there.differences(&asked).iter().all(|d| !d.to_string().contains("range")));
        asked = there.clone();
        asked.model.name = "a copy of B1".into();
        assert_eq!(there.differences(&asked), []);
    }

    #[test]
    fn a_footer_does_not_repeat_a_hundred_thousand_inputs() {
        let mut manifest = manifest();
        manifest.settings.inputs = (0..100_000).map(|i| format!("/data/{i}.jpg")).collect();
        let settings = manifest.footer_settings();
        assert!(settings.len() < 2_000 && settings.contains("and 99984 more"), "{settings}");
    }

    #[test]
    fn a_range_has_a_bounded_number_of_rows() {
        assert!(settings(1).check().is_ok() && settings(RANGE).check().is_ok());
        for (length, sound) in [(0, false), (1, true), (FEATURES, true), (FEATURES + 1, false)] {
            let mut keeps = settings(1);
            keeps.model.features = Some(FeatureColumn { length, components: false, half: false });
            assert_eq!(keeps.check().is_ok(), sound, "{length}");
        }
        assert!(settings(0).check().is_err() && settings(RANGE + 1).check().is_err());
    }
}
