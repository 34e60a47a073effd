//! The front door for one picture, or a few: a model file and pixels in, labels
//! out.
//!
//! Archives of millions go through [`run()`](super::run()), which keeps its rows on
//! disk and goes on where it was stopped; this keeps nothing. Both decode, crop and
//! route by the same code, so that a picture has the same label by either way.

use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use rayon::prelude::*;

use super::hierarchy::Hierarchy;
use super::resolved::Resolved;
use super::{ClassifyError, ClassifyOptions, Device, Devices, line, setup};
use crate::catalog::{self, Row};
use crate::cutout::decode::DecodeOptions;
use crate::cutout::prepare::Preparation;
use crate::cutout::{Decoded, Payload, Rejection, RgbImage};
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

impl<'a> From<&'a std::path::PathBuf> for Picture<'a> {
    fn from(path: &'a std::path::PathBuf) -> Self {
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
            hierarchy: setup::hierarchy(&resolved, &model, Device::Cpu)?.0,
            preparation: resolved.preparation,
            trained: (!model.description.untrained).then(|| model.description.input.clone()),
        })
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
        let named = pictures.iter().map(|picture| Named { id: String::new(), picture: *picture });
        let rows = self.session().rows(&named.collect::<Vec<_>>())?;
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
        let mut vectors = Vec::with_capacity(pictures.len());
        let observed = Observed::default();
        for pictures in pictures.chunks(BATCH) {
            let named =
                pictures.iter().map(|picture| Named { id: String::new(), picture: *picture });
            let crops = self.crops(&named.collect::<Vec<_>>(), 0, &observed);
            let images = crops.iter().filter_map(|crop| crop.state.as_ref().ok());
            let images: Vec<&[u8]> = images.map(|image| image.pixels.as_slice()).collect();
            let found = self.hierarchy.features(&images)?;
            let mut found = found.chunks_exact(self.features_len());
            vectors.extend(crops.into_iter().map(|crop| {
                let vector = |_| found.next().expect("features of each crop").to_vec();
                crop.state.map(vector)
            }));
        }
        Ok(vectors)
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

    /// What a person should know of the pictures so far, a line each: units that
    /// were not known, looks unlike those that the model learned from.
    pub fn notes(&self) -> Vec<String> {
        self.observed.notes(&self.classifier.preparation, self.classifier.trained.as_ref())
    }

    fn rows(&mut self, pictures: &[Named<'_>]) -> Result<Vec<Row>, ClassifyError> {
        let mut rows = Vec::with_capacity(pictures.len());
        for pictures in pictures.chunks(BATCH) {
            let crops = self.classifier.crops(pictures, self.seen, &self.observed);
            self.seen += pictures.len();
            rows.extend(line::infer(&self.classifier.hierarchy, Stage2::Routed, crops)?);
        }
        Ok(rows)
    }
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

    fn fixture(name: &str) -> std::path::PathBuf {
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
