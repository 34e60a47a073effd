//! The Python module `_hiwl`: the library's front door ([`hiwl::Classifier`]) for
//! pictures that are in memory or in files, on the threads of a pool, with the
//! interpreter's lock released.
//!
//! What users call is the package `hiwl` beside this file, in Python: it turns
//! whatever they have into pictures, and tables into what they want. Tables go over
//! as Arrow's IPC streams, features and maps as little-endian float32, so that this needs no
//! header of numpy or pyarrow and one wheel serves every version of theirs.

use std::path::PathBuf;

use arrow::ipc::writer::StreamWriter;
use hiwl::Classifier;
use hiwl::classify::recipe::{PrecisionChoice, ResampleChoice};
use hiwl::classify::{ClassifyError, ClassifyOptions, Named, Picture};
use hiwl::cutout::RgbImage;
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use rayon::{ThreadPool, ThreadPoolBuilder};

/// Pictures between two looks at signals.
const PORTION: usize = 128;

/// A picture as Python gives it.
#[derive(FromPyObject)]
enum Given {
    /// Height, width, and their interleaved RGB bytes.
    Pixels(usize, usize, Vec<u8>),
    /// A file's bytes.
    Bytes(Vec<u8>),
    /// A file.
    File(PathBuf),
}

/// The same with pixels as the library has them.
enum Held {
    Pixels(RgbImage),
    Bytes(Vec<u8>),
    File(PathBuf),
}

impl Held {
    fn of(given: Given) -> PyResult<Self> {
        Ok(match given {
            Given::Bytes(bytes) => Self::Bytes(bytes),
            Given::File(path) => Self::File(path),
            Given::Pixels(height, width, pixels) => {
                let bytes = height.checked_mul(width).and_then(|pixels| pixels.checked_mul(3));
                if bytes != Some(pixels.len()) {
                    let words = format!("{height} × {width} × 3 pixels in {} bytes", pixels.len());
                    return Err(PyValueError::new_err(words));
                }
                Self::Pixels(RgbImage { width, height, pixels })
            }
        })
    }

    fn picture(&self) -> Picture<'_> {
        match self {
            Self::Pixels(image) => image.into(),
            Self::Bytes(bytes) => bytes.into(),
            Self::File(path) => path.into(),
        }
    }
}

/// A model that is ready, and the threads that it computes on.
#[pyclass(frozen)]
struct Model {
    classifier: Classifier,
    threads: ThreadPool,
}

#[pymethods]
impl Model {
    #[new]
    #[pyo3(signature = (
        path, *, bands = None, cube_bands = None, profile = None, unit = None,
        zero_point = None, pixel_scale = None, resample = None, precision = "auto",
        workers = None
    ))]
    #[allow(clippy::too_many_arguments, reason = "keywords of Python, each by its name")]
    fn new(
        py: Python<'_>,
        path: PathBuf,
        bands: Option<[String; 3]>,
        cube_bands: Option<Vec<String>>,
        profile: Option<String>,
        unit: Option<String>,
        zero_point: Option<[f64; 3]>,
        pixel_scale: Option<f64>,
        resample: Option<&str>,
        precision: &str,
        workers: Option<usize>,
    ) -> PyResult<Self> {
        let mut options = ClassifyOptions::new(&path);
        (options.bands, options.cube_bands) = (bands, cube_bands);
        options.looks.profile = profile;
        options.looks.given.unit = unit;
        options.looks.given.zero_points = zero_point;
        options.looks.given.pixel_scale = pixel_scale;
        options.resample = match resample {
            None => ResampleChoice::None,
            Some("bilinear") => ResampleChoice::Bilinear,
            Some("lanczos3") => ResampleChoice::Lanczos3,
            Some(other) => return Err(unknown("resample", other, "bilinear or lanczos3")),
        };
        options.precision = match precision {
            "auto" => PrecisionChoice::Auto,
            "f32" => PrecisionChoice::F32,
            "bf16" => PrecisionChoice::Bf16,
            "int8" => PrecisionChoice::Int8,
            other => return Err(unknown("precision", other, "auto, f32, bf16 or int8")),
        };
        if let Some(workers) = workers {
            options.workers = workers;
        }
        let threads = ThreadPoolBuilder::new().num_threads(options.workers).build();
        let threads = threads.map_err(|error| PyRuntimeError::new_err(error.to_string()))?;
        let classifier = py.detach(|| Classifier::with(&options)).map_err(refused)?;
        Ok(Self { classifier, threads })
    }

    /// The labels, in the tree's order.
    #[getter]
    fn classes(&self) -> Vec<String> {
        self.classifier.scheme().tree().class_names()
    }

    /// Numbers of a feature vector.
    #[getter]
    fn features_len(&self) -> usize {
        self.classifier.features_len()
    }

    /// Rows of pictures, which are ids and what [`Given`] takes: an Arrow IPC
    /// stream with a catalog's columns, and notes. `progress` is called with the
    /// number of rows since the last call.
    #[pyo3(signature = (ids, pictures, progress = None))]
    fn table<'py>(
        &self,
        py: Python<'py>,
        ids: Vec<String>,
        pictures: Vec<Given>,
        progress: Option<Bound<'py, PyAny>>,
    ) -> PyResult<(Bound<'py, PyBytes>, Vec<String>)> {
        if ids.len() != pictures.len() {
            let words = format!("{} ids for {} pictures", ids.len(), pictures.len());
            return Err(PyValueError::new_err(words));
        }
        let held = pictures.into_iter().map(Held::of).collect::<PyResult<Vec<_>>>()?;
        let named = ids.into_iter().zip(&held);
        let named: Vec<Named<'_>> =
            named.map(|(id, held)| Named { id, picture: held.picture() }).collect();
        let mut session = self.classifier.session();
        let mut batches = vec![session.table(&[]).map_err(failed)?];
        for portion in named.chunks(PORTION) {
            let found = py.detach(|| self.threads.install(|| session.table(portion)));
            batches.push(found.map_err(failed)?);
            py.check_signals()?;
            if let Some(progress) = &progress {
                progress.call1((portion.len(),))?;
            }
        }
        let mut stream = Vec::new();
        let schema = batches[0].schema();
        let mut writer = StreamWriter::try_new(&mut stream, &schema).map_err(failed)?;
        for batch in &batches {
            writer.write(batch).map_err(failed)?;
        }
        writer.finish().map_err(failed)?;
        Ok((PyBytes::new(py, &stream), session.notes()))
    }

    /// Features of pictures, `[pictures][features_len]` little-endian float32 and
    /// NaN where there are none; of each why so, or `None`; and notes.
    fn features<'py>(&self, py: Python<'py>, pictures: Vec<Given>) -> PyResult<Numbers<'py>> {
        let held = pictures.into_iter().map(Held::of).collect::<PyResult<Vec<_>>>()?;
        let pictures: Vec<Picture<'_>> = held.iter().map(Held::picture).collect();
        let length = self.classifier.features_len();
        let mut session = self.classifier.session();
        let (mut bytes, mut reasons) = (Vec::new(), Vec::new());
        for portion in pictures.chunks(PORTION) {
            let found = py.detach(|| self.threads.install(|| session.features(portion)));
            for vector in found.map_err(failed)? {
                let (vector, reason) = match vector {
                    Ok(vector) => (vector, None),
                    Err(rejection) => (vec![f32::NAN; length], Some(rejection.to_string())),
                };
                put(&mut bytes, &vector);
                reasons.push(reason);
            }
            py.check_signals()?;
        }
        Ok((PyBytes::new(py, &bytes), reasons, session.notes()))
    }

    /// Heat maps of pictures, of an answer or of each one's own class, and the pixels of a
    /// side: `[pictures][side][side]`, and the rest as of [`Self::features`]. Where they
    /// are to be drawn they have the size of the picture that the networks see, and lie
    /// between 0 and 1.
    #[pyo3(signature = (pictures, answer = None, drawn = false))]
    fn heat<'py>(
        &self,
        py: Python<'py>,
        pictures: Vec<Given>,
        answer: Option<&str>,
        drawn: bool,
    ) -> PyResult<(Numbers<'py>, usize)> {
        let held = pictures.into_iter().map(Held::of).collect::<PyResult<Vec<_>>>()?;
        let pictures: Vec<Picture<'_>> = held.iter().map(Held::picture).collect();
        let mut session = self.classifier.session();
        // What is wrong with what was asked for is refused without any picture, too.
        let size = self.classifier.size();
        let side = py.detach(|| {
            self.threads.install(|| {
                if drawn {
                    session.explain(&[], answer).map(|_| size)
                } else {
                    session.map_side(answer)
                }
            })
        });
        let side = side.map_err(|error| match error {
            ClassifyError::Maps { sides } => PyValueError::new_err(format!(
                "maps of {sides} pixels a side fit into no array: name an answer of one network \
                 (`cls`), or have them drawn at the picture's size (`drawn`)"
            )),
            error => refused(error),
        })?;
        let mut maps = Vec::with_capacity(pictures.len());
        for portion in pictures.chunks(PORTION) {
            let found = py.detach(|| self.threads.install(|| session.explain(portion, answer)));
            maps.extend(found.map_err(refused)?);
            py.check_signals()?;
        }
        let (mut bytes, mut reasons) = (Vec::new(), Vec::new());
        for found in &maps {
            match found {
                Ok(found) if drawn => put(&mut bytes, &found.seen.drawn(side)),
                Ok(found) => put(&mut bytes, &found.seen.map),
                Err(_) => put(&mut bytes, &vec![f32::NAN; side * side]),
            }
            reasons.push(found.as_ref().err().map(ToString::to_string));
        }
        Ok(((PyBytes::new(py, &bytes), reasons, session.notes()), side))
    }
}

/// Numbers of pictures as little-endian float32, of each why they are NaN, and notes.
type Numbers<'py> = (Bound<'py, PyBytes>, Vec<Option<String>>, Vec<String>);

fn put(bytes: &mut Vec<u8>, values: &[f32]) {
    bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
}

fn unknown(what: &str, found: &str, known: &str) -> PyErr {
    PyValueError::new_err(format!("{what} = {found:?}: it is {known}"))
}

/// What was asked for is wrong, or it could not be done.
fn refused(error: ClassifyError) -> PyErr {
    if error.is_usage() { PyValueError::new_err(error.to_string()) } else { failed(error) }
}

fn failed(error: impl std::fmt::Display) -> PyErr {
    PyRuntimeError::new_err(error.to_string())
}

/// What the package `hiwl` is made of.
#[pymodule]
mod _hiwl {
    #[pymodule_export]
    use super::Model;
}
