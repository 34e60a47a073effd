//! Cutouts out of mosaics, as files: the first stage of a run with another end.
//!
//! A table's sources become FITS cubes, or pictures in the colours of a profile; in a
//! folder, a tar archive or a Parquet table, in the order of the mosaics. All lie with north
//! up and east to the left. Invariant: what one says to hold is whole: a table or an archive
//! appears under its name when all is in it.

use std::fs;
use std::io::{self, BufWriter, Write};
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{thread, vec};

use arrow::array::{
    ArrayRef, BinaryBuilder, Float64Builder, RecordBatch, StringBuilder, StructArray,
};
use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
use jpeg_encoder::{ColorType, Encoder};
use parquet::arrow::ArrowWriter;
use rayon::prelude::*;

use super::ClassifyError;
use super::look::{Names, empty_folder};
use crate::cutout::colour::{Takes, contradicted, given_light, sky, units::Light};
use crate::cutout::prepare::{self, Preparation};
use crate::cutout::{BandImage, Decoded, Payload, Reason, Rejection, RgbImage, SkyPosition};
use crate::draw::pixels;
use crate::events::Silent;
use crate::line::{Reading, Waiting, problems, stages::shielded};
use crate::mosaic::Mosaics;
use crate::pipeline::{Stop, threads};
use crate::source::Entry;
use crate::source::list::{ListError, Lister};
use crate::source::read::Reader;
use crate::source::rows::RowImages;
use crate::storage::file::TempFile;
use crate::storage::fits::write::Header;
use crate::storage::{StorageError, Wait, output};

/// Bytes of bands that are cut out between two writes; twice as many are held.
const CHUNK: usize = 64 << 20;

/// What a cutout is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A cube of 32-bit floats, a plane a band.
    Fits,
    /// A picture.
    Jpeg,
    /// A picture.
    Png,
}

impl Form {
    fn ending(self) -> &'static str {
        match self {
            Self::Fits => "fits",
            Self::Jpeg => "jpg",
            Self::Png => "png",
        }
    }
}

/// What is to be cut out, and where to.
#[derive(Debug, Clone)]
pub struct CutOptions {
    /// The table.
    pub sources: PathBuf,
    /// A folder, made or empty; or a file that ends in `.tar` or `.parquet`.
    pub output: PathBuf,
    /// Bands, mosaics, and for pictures colours.
    pub reading: Reading,
    /// Of each cutout.
    pub form: Form,
    /// The least share of pixels that are defined in all bands.
    pub least: f64,
    /// Threads.
    pub workers: usize,
}

/// What was written.
#[derive(Debug, Default)]
pub struct CutReport {
    /// Cutouts.
    pub written: u64,
    /// Ids of the others, and why.
    pub rejected: Vec<(String, String)>,
    /// Mosaics that could not be read, and other problems of the listing.
    pub problems: Vec<String>,
    /// Mosaics that were passed over, by kind.
    pub notes: Vec<String>,
}

/// Cuts out the sources of a table. `None` if `stop` ended it.
///
/// # Errors
/// [`ClassifyError`]; [`ClassifyError::Pictures`] if the output cannot be written.
pub fn cut(options: &CutOptions, stop: &Stop) -> Result<Option<CutReport>, ClassifyError> {
    let CutOptions { reading, output, .. } = options;
    let wait = Waiting { listener: &Silent, stop };
    let lister = Lister::open(std::slice::from_ref(&options.sources), reading.list_options())?;
    let mut pieces = Pieces { lister, size: options.chunk(), held: Vec::new().into_iter() };
    let failed = |source| ClassifyError::Pictures { path: output.clone(), source };
    let mut end = End::open(output, &options.sources)?;
    let threads = threads::pool("cut", options.workers)?;
    let mosaics = Mosaics::new(reading.cutting());
    let mut report = CutReport::default();
    let mut names = Names::default();
    let make = |piece: &[Entry]| -> Vec<Made> {
        let reader = || Reader::sharing(RowImages::default(), mosaics.clone());
        threads.install(|| {
            piece
                .par_iter()
                .map_init(reader, |reader, entry| shielded(|| options.make(reader, entry)))
                .collect()
        })
    };
    let mut index = 0;
    thread::scope(|scope| {
        // While one is written the next is cut out.
        let make = &make;
        let ahead = |piece: Vec<Entry>| {
            scope.spawn(move || {
                let made = make(&piece);
                (piece, made)
            })
        };
        let mut next = pieces.next(&wait)?.map(ahead);
        while let Some(running) = next {
            let (piece, made) = running.join().unwrap_or_else(|panic| resume_unwind(panic));
            next = pieces.next(&wait)?.map(ahead);
            for (entry, made) in piece.iter().zip(made) {
                match made {
                    Ok(bytes) => {
                        let name = names.of(&entry.id, index);
                        let name = name.with_extension(options.form.ending());
                        end.add(&entry.id, &name, entry.position, &bytes).map_err(failed)?;
                        report.written += 1;
                    }
                    Err(why) => report.rejected.push((entry.id.clone(), why.to_string())),
                }
                index += 1;
            }
        }
        Ok::<_, ClassifyError>(())
    })?;
    if stop.requested() {
        return Ok(None);
    }
    report.problems = problems(&pieces.lister);
    report.notes = pieces.lister.mosaics_passed_over();
    end.finish().map_err(failed)?;
    Ok(Some(report))
}

/// A listing, some sources at a time.
struct Pieces {
    lister: Lister,
    size: usize,
    held: vec::IntoIter<Entry>,
}

impl Pieces {
    /// The next sources; none at the end, or where `wait` ended it.
    fn next(&mut self, wait: &dyn Wait) -> Result<Option<Vec<Entry>>, ListError> {
        let mut piece = Vec::with_capacity(self.size);
        while piece.len() < self.size && !wait.stopped() {
            piece.extend(self.held.by_ref().take(self.size - piece.len()));
            if self.held.len() == 0 {
                let Some(chunk) = self.lister.next_or_wait(wait) else { break };
                self.held = chunk?.entries.into_iter();
            }
        }
        Ok((!piece.is_empty() && !wait.stopped()).then_some(piece))
    }
}

/// The bytes of a cutout, or why there are none.
type Made = Result<Vec<u8>, Rejection>;

impl CutOptions {
    /// Sources that are cut out between two writes: a few hundred of the usual size, one a
    /// thread of the largest.
    fn chunk(&self) -> usize {
        let pixels = self.reading.mosaics.as_ref().map_or(1, |mosaics| mosaics.field.pixels);
        let bytes = (pixels as usize).pow(2).max(1) * 3 * size_of::<f32>();
        (CHUNK / bytes).clamp(self.workers.max(1), 1024.max(self.workers))
    }

    /// The bytes of a cutout.
    fn make(&self, reader: &mut Reader, entry: &Entry) -> Result<Vec<u8>, Rejection> {
        let Payload::Bands(image) = reader.read(&entry.locator)? else {
            return Err(Rejection::new(Reason::Unsupported, "no source in a mosaic"));
        };
        let plane = image.width * image.height;
        let defined = |k: &usize| (0..3).all(|band| image.planes[band * plane + k].is_finite());
        let share = (0..plane).filter(defined).count() as f64 / plane.max(1) as f64;
        if share < self.least {
            let detail = format!("{:.0} % of its pixels are undefined", (1.0 - share) * 100.0);
            return Err(Rejection::new(Reason::NoData, detail));
        }
        if self.form == Form::Fits {
            return fits(&entry.id, *image, &self.reading);
        }
        let preparation: Preparation = self.reading.preparation(image.width);
        let picture = prepare::whole(Decoded::Bands(*image), &preparation, None)?;
        encode(&picture, self.form)
    }
}

fn encode(picture: &RgbImage, form: Form) -> Result<Vec<u8>, Rejection> {
    let unfit = |e: String| Rejection::new(Reason::Unsupported, e);
    let mut bytes = Vec::new();
    if form == Form::Png {
        pixels::png(&mut bytes, picture).map_err(|e| unfit(e.to_string()))?;
        return Ok(bytes);
    }
    let side = |pixels: usize| u16::try_from(pixels).map_err(|e| unfit(e.to_string()));
    let (width, height) = (side(picture.width)?, side(picture.height)?);
    Encoder::new(&mut bytes, 95)
        .encode(&picture.pixels, width, height, ColorType::Rgb)
        .map_err(|e| unfit(e.to_string()))?;
    Ok(bytes)
}

/// A cutout as a cube: a plane a band, nanomaggies where the light is known; with the sky
/// of its mosaics, where brightness may be told by that, for resampling has smoothed its
/// noise. It is read as it was cut: north up, in a tangential projection around the source.
///
/// # Errors
/// [`Reason::Unsupported`] of what a run would not show either: headers that contradict
/// themselves.
fn fits(id: &str, image: BandImage, reading: &Reading) -> Result<Vec<u8>, Rejection> {
    let Reading { bands, looks, profile, .. } = reading;
    let BandImage { width, height, mut planes, centre, pixel_scale, light, sky, .. } = image;
    let area = pixel_scale.map_or(1.0, |scale| scale.x * scale.y);
    // What a person says goes before the headers, as everywhere.
    let told = [0, 1, 2].map(|k| given_light(&looks.given, k).unwrap_or_else(|| light[k].clone()));
    let given = &looks.given;
    let needs_unit = !given.by_sky() && !given.by_pixel() && profile.unit != Takes::Sky;
    if let (true, Some(what)) = (needs_unit, told.iter().find_map(Light::contradiction)) {
        return Err(contradicted(what));
    }
    let factors = told.each_ref().map(|light| match light {
        Light::Pixel(light) => Some(*light),
        Light::Area(light) => Some(light * area),
        Light::Unknown(_) | Light::Contradiction(_) => None,
    });
    let known = factors.iter().all(Option::is_some) && !given.by_pixel();
    let factors = factors.map(|factor| factor.filter(|_| known).unwrap_or(1.0));
    // A band of several channels has one plane.
    let channels: Vec<usize> = (0..3).filter(|&k| !bands[..k].contains(&bands[k])).collect();
    let pixels = width * height;
    for (plane, &channel) in channels.iter().enumerate() {
        planes.copy_within(channel * pixels..(channel + 1) * pixels, plane * pixels);
        if known {
            let own = &mut planes[plane * pixels..(plane + 1) * pixels];
            own.iter_mut().for_each(|value| *value *= factors[channel] as f32);
        }
    }
    planes.truncate(channels.len() * pixels);
    let mut header = Header::default();
    header.logical("SIMPLE", true, "conforms to FITS standard");
    header.integer("BITPIX", -32, "32-bit floating point");
    header.integer("NAXIS", if channels.len() == 1 { 2 } else { 3 }, "");
    header.integer("NAXIS1", width as i64, "");
    header.integer("NAXIS2", height as i64, "");
    if channels.len() == 1 {
        header.text("FILTER", &plain(&bands[0]), "");
    } else {
        header.integer("NAXIS3", channels.len() as i64, "");
        for (n, &channel) in channels.iter().enumerate() {
            header.text(&format!("BAND{n}"), &plain(&bands[channel]), "");
        }
    }
    header.text("OBJECT", &plain(id), "");
    if known {
        header.text("BUNIT", "nanomaggy", "1 nanomaggy = 22.5 mag (AB)");
    }
    for (n, &channel) in channels.iter().enumerate() {
        let Some(sky) = sky.as_ref().and_then(|sky| sky[channel]) else { continue };
        let said = [f64::from(sky.level), sky.noise].map(|value| value * factors[channel]);
        let comments = ["level of the sky", "noise of a pixel, not resampled"];
        for ((keyword, value), comment) in sky::KEYWORDS.iter().zip(said).zip(comments) {
            header.real(&format!("{keyword}{n}"), value, comment);
        }
    }
    if let (Some(SkyPosition { ra, dec }), Some(scale)) = (centre, pixel_scale) {
        header.text("RADESYS", "ICRS", "");
        header.text("CTYPE1", "RA---TAN", "");
        header.text("CTYPE2", "DEC--TAN", "");
        header.text("CUNIT1", "deg", "");
        header.text("CUNIT2", "deg", "");
        header.real("CRPIX1", (width as f64 + 1.0) / 2.0, "");
        header.real("CRPIX2", (height as f64 + 1.0) / 2.0, "");
        header.real("CRVAL1", ra, "right ascension");
        header.real("CRVAL2", dec, "declination");
        header.real("CD1_1", -scale.x / 3600.0, "east to the left");
        header.real("CD1_2", 0.0, "");
        header.real("CD2_1", 0.0, "");
        header.real("CD2_2", scale.y / 3600.0, "north up");
    }
    Ok(header.with_floats(&planes))
}

/// A text as a card can have it.
fn plain(text: &str) -> String {
    let allowed = |c: char| (' '..='~').contains(&c) && c != '\'';
    text.chars().take(60).map(|c| if allowed(c) { c } else { '_' }).collect()
}

/// Where cutouts go.
enum End {
    Folder(PathBuf),
    Tar(Box<tar::Builder<BufWriter<fs::File>>>, TempFile, PathBuf),
    Table(Box<Table>, TempFile, PathBuf),
}

impl End {
    fn open(path: &Path, sources: &Path) -> Result<Self, ClassifyError> {
        let ends = |end: &str| path.extension().is_some_and(|e| e.eq_ignore_ascii_case(end));
        let failed = |source| ClassifyError::Pictures { path: path.to_owned(), source };
        if !ends("tar") && !ends("parquet") {
            output::refuse_folder(path)?;
            empty_folder(path)?;
            return Ok(Self::Folder(path.to_owned()));
        }
        output::refuse(path, &[sources])?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let name = path.file_name().unwrap_or_default();
        let temp = TempFile::create(folder.unwrap_or(Path::new(".")), name)?;
        let file = temp.file().try_clone().map_err(StorageError::io("open", temp.path()))?;
        let name = PathBuf::from(name);
        if ends("tar") {
            let builder = tar::Builder::new(BufWriter::new(file));
            return Ok(Self::Tar(Box::new(builder), temp, name));
        }
        let table = Table::new(file).map_err(|e| failed(io::Error::other(e)))?;
        Ok(Self::Table(Box::new(table), temp, name))
    }

    fn add(
        &mut self,
        id: &str,
        name: &Path,
        position: Option<SkyPosition>,
        bytes: &[u8],
    ) -> io::Result<()> {
        match self {
            Self::Folder(folder) => {
                fs::File::create_new(folder.join(name)).and_then(|mut file| file.write_all(bytes))
            }
            Self::Tar(builder, ..) => {
                let mut header = tar::Header::new_gnu();
                header.set_size(bytes.len() as u64);
                header.set_mode(0o644);
                builder.append_data(&mut header, name, bytes)
            }
            Self::Table(table, ..) => table.add(id, name, position, bytes),
        }
    }

    fn finish(self) -> Result<(), io::Error> {
        let committed = match self {
            Self::Folder(_) => return Ok(()),
            Self::Tar(builder, temp, name) => {
                builder.into_inner()?.into_inner().map_err(io::IntoInnerError::into_error)?;
                temp.commit(name)
            }
            Self::Table(table, temp, name) => {
                table.finish()?;
                temp.commit(name)
            }
        };
        committed.map(drop).map_err(io::Error::other)
    }
}

/// A Parquet table with images, as Hugging Face's data sets have them.
struct Table {
    writer: ArrowWriter<fs::File>,
    schema: SchemaRef,
    id: StringBuilder,
    ra: Float64Builder,
    dec: Float64Builder,
    bytes: BinaryBuilder,
    path: StringBuilder,
    held: usize,
}

/// Bytes of images in a row group.
const GROUP: usize = 64 << 20;

impl Table {
    fn new(file: fs::File) -> Result<Self, parquet::errors::ParquetError> {
        let image = Fields::from(vec![
            Field::new("bytes", DataType::Binary, false),
            Field::new("path", DataType::Utf8, false),
        ]);
        let schema = Arc::new(Schema::new(vec![
            Field::new("id", DataType::Utf8, false),
            Field::new("ra", DataType::Float64, true),
            Field::new("dec", DataType::Float64, true),
            Field::new("image", DataType::Struct(image), false),
        ]));
        Ok(Self {
            writer: ArrowWriter::try_new(file, Arc::clone(&schema), None)?,
            schema,
            id: StringBuilder::new(),
            ra: Float64Builder::new(),
            dec: Float64Builder::new(),
            bytes: BinaryBuilder::new(),
            path: StringBuilder::new(),
            held: 0,
        })
    }

    fn add(
        &mut self,
        id: &str,
        name: &Path,
        position: Option<SkyPosition>,
        bytes: &[u8],
    ) -> io::Result<()> {
        self.id.append_value(id);
        self.ra.append_option(position.map(|at| at.ra));
        self.dec.append_option(position.map(|at| at.dec));
        self.bytes.append_value(bytes);
        self.path.append_value(name.to_string_lossy());
        self.held += bytes.len();
        if self.held > GROUP { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.held = 0;
        let DataType::Struct(fields) = self.schema.field(3).data_type() else {
            return Err(io::Error::other("the schema has images"));
        };
        let image: Vec<ArrayRef> =
            vec![Arc::new(self.bytes.finish()), Arc::new(self.path.finish())];
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.id.finish()),
            Arc::new(self.ra.finish()),
            Arc::new(self.dec.finish()),
            Arc::new(StructArray::new(fields.clone(), image, None)),
        ];
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns);
        let batch = batch.map_err(io::Error::other)?;
        self.writer.write(&batch).and_then(|()| self.writer.flush()).map_err(io::Error::other)
    }

    fn finish(mut self) -> io::Result<()> {
        if self.held > 0 {
            self.flush()?;
        }
        self.writer.close().map(drop).map_err(io::Error::other)
    }
}
