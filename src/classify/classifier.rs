//! The front door for one picture, or a few: a model file and pixels in, labels
//! out.
//!
//! Archives of millions go through [`run()`](super::run()), which keeps its rows on
//! disk and goes on where it was stopped; this keeps nothing. Both decode, crop and
//! route by the same code, so that a picture has the same label by either way.

use std::path::Path;
use std::sync::Arc;

use super::hierarchy::Hierarchy;
use super::resolved::Resolved;
use super::{ClassifyError, ClassifyOptions, Device, Devices, setup};
use crate::cutout::decode::{self, DecodeOptions};
use crate::cutout::prepare::{self, Preparation};
use crate::cutout::{Decoded, Payload, Rejection, RgbImage};
use crate::model::model_file::Model;
use crate::source::Locator;
use crate::source::read::Reader;
use crate::storage::remote::absolute;
use crate::tree::{Prediction, Scheme, Stage2, Value};

/// Pictures that the networks see at once.
const BATCH: usize = 32;

/// A model that is ready to classify, on this processor. It can be shared by
/// threads.
pub struct Classifier {
    hierarchy: Hierarchy,
    decode: DecodeOptions,
    preparation: Preparation,
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
        let mut outcomes = Vec::with_capacity(pictures.len());
        let mut reader = Reader::new();
        for pictures in pictures.chunks(BATCH) {
            let crops: Vec<Result<RgbImage, Rejection>> =
                pictures.iter().map(|picture| self.crop(&mut reader, *picture)).collect();
            let images: Vec<&[u8]> =
                crops.iter().flatten().map(|crop| crop.pixels.as_slice()).collect();
            let mut found = self.hierarchy.classify(&images, Stage2::Routed)?.into_iter();
            outcomes.extend(crops.into_iter().map(|crop| {
                crop.and_then(|_| found.next().expect("an outcome for each crop"))
                    .map(|found| Classification::of(scheme, &columns, &found))
            }));
        }
        Ok(outcomes)
    }

    /// What the networks see of a picture.
    fn crop(&self, reader: &mut Reader, picture: Picture<'_>) -> Result<RgbImage, Rejection> {
        let payload = match picture {
            Picture::Rgb(image) => {
                let decoded = Decoded::Rgb(image.clone());
                return Ok(prepare::prepare(&decoded, &self.preparation, None)?.picture);
            }
            Picture::Bytes(bytes) => Payload::Single(bytes.to_vec()),
            Picture::File(path) => {
                let path = absolute(path).unwrap_or_else(|_| path.to_owned());
                reader.read(&Locator::File(path))?
            }
        };
        let decoded = decode::decode(&payload, &self.decode)?;
        Ok(prepare::prepare(&decoded, &self.preparation, None)?.picture)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::cutout::Reason;

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
