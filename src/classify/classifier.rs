//! The front door for one picture, or a few: a model file and pixels in, labels
//! out.
//!
//! Archives of millions go through [`run()`](super::run()), which keeps its rows on
//! disk and goes on where it was stopped; this keeps nothing. Both decode, crop and
//! route by the same code, so that a picture has the same label by either way.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::RecordBatch;
use rayon::prelude::*;

use super::explain::{Explainer, Explanation, target};
use super::hierarchy::Hierarchy;
use super::resolved::Resolved;
use super::{ClassifyError, ClassifyOptions, Device, Devices, line, setup};
use crate::catalog::{self, Row};
use crate::cutout::decode::DecodeOptions;
use crate::cutout::prepare::Preparation;
use crate::cutout::{Decoded, Payload, Rejection, RgbImage};
use crate::engine::Engine;
use crate::line::{Cutout, observed::Observed, stages};
use crate::model::description::Input;
use crate::model::model_file::Model;
use crate::source::Locator;
use crate::source::read::Reader;
use crate::storage::remote::absolute;
use crate::tree::{Prediction, Scheme, Stage2, Value};

/// Pictures that the networks see at once.
const BATCH: usize = 32;

/// A picture, and the name that its row has.
#[derive(Debug, Clone)]
pub struct Named<'a> {
    /// The row's `id`.
    pub id: String,
    /// The picture.
    pub picture: Picture<'a>,
}

/// A model that is ready to classify, on this processor. It can be shared by
/// threads.
pub struct Classifier {
    hierarchy: Hierarchy,
    decode: DecodeOptions,
    preparation: Preparation,
    /// The pictures that the model learned from, if it did.
    trained: Option<Input>,
    source: Source,
    /// The networks once more, in single precision and with their maps, from when they
    /// are first asked where they look.
    explainer: Mutex<Option<Arc<Explainer>>>,
}

/// Where the networks are from.
struct Source {
    model: PathBuf,
    digest: Option<String>,
    engine: Option<Engine>,
}

/// Where a picture is. Made of a path, of a file's bytes, or of pixels.
#[derive(Debug, Clone, Copy)]
pub enum Picture<'a> {
    /// A file: JPEG, PNG, or FITS with all bands.
    File(&'a Path),
    /// The bytes of such a file.
    Bytes(&'a [u8]),
    /// Pixels: interleaved RGB, row 0 on top.
    Rgb(&'a RgbImage),
}

impl<'a> From<&'a Path> for Picture<'a> {
    fn from(path: &'a Path) -> Self {
        Self::File(path)
    }
}

impl<'a> From<&'a PathBuf> for Picture<'a> {
    fn from(path: &'a PathBuf) -> Self {
        Self::File(path)
    }
}

impl<'a> From<&'a str> for Picture<'a> {
    fn from(path: &'a str) -> Self {
        Self::File(Path::new(path))
    }
}

impl<'a> From<&'a [u8]> for Picture<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Bytes(bytes)
    }
}

impl<'a> From<&'a Vec<u8>> for Picture<'a> {
    fn from(bytes: &'a Vec<u8>) -> Self {
        Self::Bytes(bytes)
    }
}

impl<'a> From<&'a RgbImage> for Picture<'a> {
    fn from(image: &'a RgbImage) -> Self {
        Self::Rgb(image)
    }
}

/// What a model says of a picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Classification {
    /// The class, such as `SPI`.
    pub label: String,
    /// The class's probability, 0 to 1.
    pub confidence: f32,
    /// The probability of every answer by the name of its column in a catalog,
    /// such as `p_spi`, in the catalog's order; `None` where the network that
    /// knows it was not asked.
    pub probabilities: Vec<(String, Option<f32>)>,
    /// How far the picture lies from what the model learned from, as a percentile
    /// of galaxies like those, 0 to 100; `None` where the model does not tell.
    pub oddness: Option<f32>,
}

impl Classification {
    fn of(scheme: &Scheme, columns: &[(String, usize)], found: &Prediction) -> Self {
        Self {
            label: scheme.tree().classes()[found.class].name.clone(),
            confidence: found.confidence,
            oddness: found.oddness,
            probabilities: columns
                .iter()
                .map(|(name, answer)| (name.clone(), found.probabilities[*answer]))
                .collect(),
        }
    }

    /// The probability in a column of the catalog, such as `p_spi`, if there is
    /// one and it is known.
    pub fn probability(&self, column: &str) -> Option<f32> {
        self.probabilities.iter().find(|(name, _)| name == column)?.1
    }
}

impl Classifier {
    /// Reads a model file and makes its networks ready, in the precision that is
    /// fastest here. Pictures are prepared as the model file says.
    ///
    /// # Errors
    /// [`ClassifyError`] if it is no model, or one that this program does not
    /// know.
    pub fn open(model: impl AsRef<Path>) -> Result<Self, ClassifyError> {
        Self::with(&ClassifyOptions::new(model.as_ref()))
    }

    /// The same with other choices: bands, resampling, precision. What the options
    /// say of inputs, outputs and devices is not looked at.
    ///
    /// # Errors
    /// As [`Self::open`], and if model and options contradict one another.
    pub fn with(options: &ClassifyOptions) -> Result<Self, ClassifyError> {
        let model = Model::read(&options.model)?;
        let options = &ClassifyOptions { devices: Devices::Cpu, ..options.clone() };
        let resolved = Resolved::new(options, &model)?;
        Ok(Self {
            decode: resolved.reading.decode_options(),
            hierarchy: setup::hierarchy(&resolved, &model, Device::Cpu, None)?.0,
            preparation: resolved.preparation,
            trained: (!model.description.untrained).then(|| model.description.input.clone()),
            source: Source {
                model: options.model.clone(),
                digest: model.digest,
                engine: resolved.engine,
            },
            explainer: Mutex::default(),
        })
    }

    /// The networks that say where in a picture they see an answer, made ready by the
    /// first call.
    ///
    /// # Errors
    /// As [`Explainer::new`]; [`ClassifyError::ModelChanged`] if the model's file is
    /// another by now.
    pub fn explainer(&self) -> Result<Arc<Explainer>, ClassifyError> {
        let ready = || self.explainer.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(explainer) = &*ready() {
            return Ok(Arc::clone(explainer));
        }
        let Source { model: path, digest, engine } = &self.source;
        let model = Model::read(path)?;
        if model.digest != *digest {
            return Err(ClassifyError::ModelChanged { path: path.clone() });
        }
        // Not locked meanwhile: a thread that waits for rayon may be given the work of
        // another caller, who would wait for the lock that it holds.
        let explainer = Arc::new(Explainer::new(&model, *engine)?);
        Ok(Arc::clone(ready().get_or_insert(explainer)))
    }

    /// Pixels of a picture along a side, as the networks see it.
    pub fn size(&self) -> usize {
        self.preparation.size
    }

    /// The classes and questions of the model.
    pub fn scheme(&self) -> &Arc<Scheme> {
        self.hierarchy.scheme()
    }

    /// Classifies a picture.
    ///
    /// # Errors
    /// [`ClassifyError::Picture`] with the reason, if it is none or cannot be
    /// classified; [`ClassifyError::Network`].
    pub fn classify<'a>(
        &self,
        picture: impl Into<Picture<'a>>,
    ) -> Result<Classification, ClassifyError> {
        let one = self.classify_batch(&[picture.into()])?.pop();
        one.expect("an outcome for each picture").map_err(ClassifyError::Picture)
    }

    /// Classifies pictures: an outcome for each, in order, on the threads of the
    /// current rayon pool. What is wrong with one is its outcome.
    ///
    /// # Errors
    /// [`ClassifyError::Network`] if the networks cannot be run at all.
    pub fn classify_batch(
        &self,
        pictures: &[Picture<'_>],
    ) -> Result<Vec<Result<Classification, Rejection>>, ClassifyError> {
        let scheme = self.scheme();
        // A model with columns that clash was refused when it was read.
        let columns = scheme.columns().unwrap_or_default();
        let columns: Vec<(String, usize)> = columns
            .into_iter()
            .filter_map(|column| match column.value {
                Value::Probability(answer) => Some((column.name, answer)),
                Value::Fraction(_)
                | Value::Asked(_)
                | Value::Concentration(_)
                | Value::Ran(..)
                | Value::Oddness
                | Value::Feature(_) => None,
            })
            .collect();
        let rows = self.session().rows(&nameless(pictures))?;
        let outcomes = rows.into_iter().map(|row| row.outcome);
        Ok(outcomes.map(|found| Ok(Classification::of(scheme, &columns, &found?))).collect())
    }

    /// Pictures that come in portions, as rows of one table.
    pub fn session(&self) -> Session<'_> {
        Session { classifier: self, observed: Observed::default(), seen: 0 }
    }

    /// The features of pictures by the model's first network, on the threads of the
    /// current rayon pool: a vector of [`Self::features_len`] numbers for each, in
    /// order, or why there is none.
    ///
    /// # Errors
    /// [`ClassifyError::Network`] if the network cannot be run at all.
    pub fn features(
        &self,
        pictures: &[Picture<'_>],
    ) -> Result<Vec<Result<Vec<f32>, Rejection>>, ClassifyError> {
        self.session().features(pictures)
    }

    /// Numbers of a feature vector: 1280 for EfficientNet-B1.
    pub fn features_len(&self) -> usize {
        self.hierarchy.features_len()
    }

    /// What the networks see of pictures, of which the first is number `first`.
    fn crops(
        &self,
        pictures: &[Named<'_>],
        first: usize,
        observed: &Observed,
    ) -> Vec<Cutout<RgbImage>> {
        let crop = |reader: &mut Reader, (place, named): (usize, &Named<'_>)| {
            let index = (first + place) as u64;
            let (payload, source) = match named.picture {
                Picture::Rgb(image) => {
                    let decoded = Ok(Decoded::Rgb(image.clone()));
                    let cutout = cutout(index, &named.id, String::new(), decoded);
                    return stages::crop(&self.preparation, observed, cutout);
                }
                Picture::Bytes(bytes) => (Ok(Payload::Single(bytes.to_vec())), String::new()),
                Picture::File(path) => {
                    let whole = absolute(path).unwrap_or_else(|_| path.to_owned());
                    (reader.read(&Locator::File(whole)), path.display().to_string())
                }
            };
            let read = cutout(index, &named.id, source, payload);
            let decoded = stages::decode(&self.decode, read);
            stages::crop(&self.preparation, observed, decoded)
        };
        pictures.par_iter().enumerate().map_init(Reader::new, crop).collect()
    }
}

/// Pictures that come in portions, as rows of one table, and what was taken for
/// granted over all of them.
pub struct Session<'a> {
    classifier: &'a Classifier,
    observed: Observed,
    seen: usize,
}

impl Session<'_> {
    /// Classifies pictures into a table: a row for each, in order, with the columns
    /// of a catalog ([`crate::catalog::schema::columns`]), on the threads of the
    /// current rayon pool. What is wrong with a picture is its row's `status` and
    /// `error`.
    ///
    /// # Errors
    /// [`ClassifyError::Network`] if the networks cannot be run at all.
    pub fn table(&mut self, pictures: &[Named<'_>]) -> Result<RecordBatch, ClassifyError> {
        let rows = self.rows(pictures)?;
        let scheme = Scheme::clone(self.classifier.scheme());
        let naming = scheme.usual_naming();
        Ok(catalog::table(&scheme.with_naming(naming), &rows)?)
    }

    /// The features of pictures: see [`Classifier::features`].
    ///
    /// # Errors
    /// [`ClassifyError::Network`] if the network cannot be run at all.
    pub fn features(
        &mut self,
        pictures: &[Picture<'_>],
    ) -> Result<Vec<Result<Vec<f32>, Rejection>>, ClassifyError> {
        let hierarchy = &self.classifier.hierarchy;
        let mut vectors = Vec::with_capacity(pictures.len());
        for pictures in pictures.chunks(BATCH) {
            let crops = self.crops(&nameless(pictures));
            let found = hierarchy.features(&pixels(&crops))?;
            let mut found = found.chunks_exact(hierarchy.features_len());
            vectors.extend(crops.into_iter().map(|crop| {
                let vector = |_| found.next().expect("features of each crop").to_vec();
                crop.state.map(vector)
            }));
        }
        Ok(vectors)
    }

    /// Where in pictures the networks see an answer or, without one, each picture's own
    /// class, as `hiwl explain` does: an outcome for each, in order, on the threads of the
    /// current rayon pool. An answer is a class, or an answer of the model's tree.
    ///
    /// # Errors
    /// As [`Classifier::explainer`]; [`ClassifyError::Answer`] if the model's tree has no
    /// such answer, or several; [`ClassifyError::Network`].
    pub fn explain(
        &mut self,
        pictures: &[Picture<'_>],
        answer: Option<&str>,
    ) -> Result<Vec<Result<Explanation, Rejection>>, ClassifyError> {
        let (hierarchy, target) = (&self.classifier.hierarchy, self.target(answer)?);
        let explainer = self.classifier.explainer()?;
        let mut all = Vec::with_capacity(pictures.len());
        for pictures in pictures.chunks(BATCH) {
            let crops = self.crops(&nameless(pictures));
            let images = pixels(&crops);
            let found = explainer.explanations(hierarchy, Stage2::Routed, &images, target)?;
            let mut found = found.into_iter();
            all.extend(crops.iter().map(|crop| match &crop.state {
                Ok(_) => found.next().expect("an outcome for each picture"),
                Err(rejection) => Err(rejection.clone()),
            }));
        }
        Ok(all)
    }

    /// Pixels along a side of the maps of an answer, or of all classes'.
    ///
    /// # Errors
    /// As [`Self::explain`]; [`ClassifyError::Maps`] if classes' maps have different sizes.
    pub fn map_side(&self, answer: Option<&str>) -> Result<usize, ClassifyError> {
        let target = self.target(answer)?;
        self.classifier.explainer()?.side(target)
    }

    fn target(&self, answer: Option<&str>) -> Result<Option<usize>, ClassifyError> {
        answer.map(|name| target(self.classifier.scheme(), name)).transpose()
    }

    /// What a person should know of the pictures so far, a line each: units that
    /// were not known, looks unlike those that the model learned from.
    pub fn notes(&self) -> Vec<String> {
        self.observed.notes(&self.classifier.preparation, self.classifier.trained.as_ref())
    }

    fn rows(&mut self, pictures: &[Named<'_>]) -> Result<Vec<Row>, ClassifyError> {
        let mut rows = Vec::with_capacity(pictures.len());
        for pictures in pictures.chunks(BATCH) {
            let crops = self.crops(pictures);
            rows.extend(line::infer(&self.classifier.hierarchy, Stage2::Routed, crops)?);
        }
        Ok(rows)
    }

    /// What the networks see of the next pictures.
    fn crops(&mut self, pictures: &[Named<'_>]) -> Vec<Cutout<RgbImage>> {
        let crops = self.classifier.crops(pictures, self.seen, &self.observed);
        self.seen += pictures.len();
        crops
    }
}

/// Pictures whose rows are nobody's.
fn nameless<'a>(pictures: &[Picture<'a>]) -> Vec<Named<'a>> {
    pictures.iter().map(|picture| Named { id: String::new(), picture: *picture }).collect()
}

/// The pixels of those that could be prepared.
fn pixels(crops: &[Cutout<RgbImage>]) -> Vec<&[u8]> {
    let images = crops.iter().filter_map(|crop| crop.state.as_ref().ok());
    images.map(|image| image.pixels.as_slice()).collect()
}

/// A picture on its way that is listed nowhere.
fn cutout<T>(index: u64, id: &str, source: String, state: Result<T, Rejection>) -> Cutout<T> {
    let id = id.to_owned();
    let (position, note, radius) = (None, None, None);
    Cutout { index, ends_batch: false, id, source, position, note, radius, state }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::cutout::Reason;
    use crate::cutout::decode;
    use crate::model::architecture::Architecture;
    use crate::model::model_file::StoredPrecision;

    fn fixture(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)
    }

    #[test]
    fn a_path_its_bytes_and_its_pixels_have_one_label() {
        let classifier = Classifier::open(fixture("models/untrained-nano.safetensors")).unwrap();
        let path = fixture("cutouts/jpeg/1237022322676379433.jpg");
        let bytes = fs::read(&path).unwrap();
        let payload = Payload::Single(bytes.clone());
        let Decoded::Rgb(pixels) = decode::decode(&payload, &DecodeOptions::default()).unwrap()
        else {
            panic!("a JPEG is a picture");
        };
        let found = classifier.classify(&path).unwrap();
        assert_eq!(found, classifier.classify(&bytes).unwrap());
        assert_eq!(found, classifier.classify(&pixels).unwrap());
        assert!(found.confidence > 0.0 && found.confidence <= 1.0);
        assert_eq!(found.probabilities.len(), 6, "five classes and CSS+EO");
        let classes = ["p_crs", "p_ibs", "p_spi", "p_css_eo"];
        let sum: f32 = classes.map(|name| found.probability(name).unwrap()).iter().sum();
        assert!((sum - 1.0).abs() < 1e-5, "{sum}");
    }

    #[test]
    fn pictures_are_explained_by_the_model_that_was_opened() {
        let folder = tempfile::tempdir().unwrap();
        let model = folder.path().join("model.safetensors");
        fs::copy(fixture("models/untrained-nano.safetensors"), &model).unwrap();
        let classifier = Classifier::open(&model).unwrap();
        let path = fixture("cutouts/jpeg/1237022322676379433.jpg");
        let pictures = [(&path).into(), "no such file".into(), (&path).into()];
        let label = classifier.classify(&path).unwrap().label;
        let mut session = classifier.session();
        let own = session.explain(&pictures, None).unwrap();
        let by_name = session.explain(&pictures, Some(&label)).unwrap();
        let map = |k: usize| &own[k].as_ref().unwrap().seen.map;
        assert_eq!(map(0).len(), session.map_side(None).unwrap().pow(2));
        assert_eq!(map(0), map(2));
        assert_eq!(*map(0), by_name[0].as_ref().unwrap().seen.map);
        assert_eq!(own[1].as_ref().unwrap_err().reason, Reason::Missing);
        let other = session.explain(&pictures, Some("CSS+EO")).unwrap();
        assert_ne!(*map(0), other[0].as_ref().unwrap().seen.map);
        let error = session.explain(&pictures, Some("spiral")).unwrap_err();
        assert!(matches!(error, ClassifyError::Answer { .. }), "{error}");
        // Another model by the same name is not asked in its place.
        let late = Classifier::open(&model).unwrap();
        let architecture = Architecture::named("efficientnet-nano").unwrap();
        let another = Model::seeded(architecture, 240, 77).unwrap();
        another.write(&model, StoredPrecision::F32).unwrap();
        let error = late.session().explain(&pictures, None).unwrap_err();
        assert!(matches!(error, ClassifyError::ModelChanged { .. }), "{error}");
        assert!(classifier.session().explain(&pictures, None).is_ok());
    }

    #[test]
    fn what_is_wrong_with_one_picture_is_its_outcome() {
        let classifier = Classifier::open(fixture("models/untrained-nano.safetensors")).unwrap();
        let path = fixture("cutouts/jpeg/1237022322676379433.jpg");
        let small = RgbImage { width: 2, height: 2, pixels: vec![0; 12] };
        let pictures =
            [(&path).into(), "no such file".into(), (&b"no picture"[..]).into(), (&small).into()];
        let outcomes = classifier.classify_batch(&pictures).unwrap();
        let reasons: Vec<Option<Reason>> =
            outcomes.iter().map(|o| o.as_ref().err().map(|r| r.reason)).collect();
        assert_eq!(reasons[0], None);
        assert_eq!(reasons[1], Some(Reason::Missing));
        assert!(reasons[2].is_some());
        assert_eq!(reasons[3], Some(Reason::TooSmall));
        let alone = classifier.classify(&small).unwrap_err();
        assert!(matches!(alone, ClassifyError::Picture(r) if r.reason == Reason::TooSmall));
        assert!(Classifier::open(&path).is_err());
    }
}
