//! Many galaxies into a folder: files and `labels.csv`.
//!
//! Galaxies are rendered and encoded in parallel, a bounded chunk at a time,
//! and written in order by the calling thread. `labels.csv` appears under its
//! name when everything else is there: a folder without it is not whole.
//!
//! Memory: a chunk of [`CHUNK`] galaxies a thread, at 424 pixels 2 MB each as
//! FITS and some 15 kB as JPEG.

use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::{Classes, SimulateError, Simulation, Truth, encode, votes};
use crate::simulate::Class;
use crate::storage::StorageError;
use crate::storage::file::TempFile;
use crate::storage::output;
use crate::storage::remote::is_remote;

/// Galaxies a thread between two writes.
const CHUNK: u64 = 16;

/// The table of what was made.
const LABELS: &str = "labels.csv";

/// Cutouts in one archive of [`Format::Tar`], at most.
pub const TAR_MEMBERS: u64 = 10_000;

/// What is written of each galaxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// `<id>.jpg`: colours, row 0 in the north.
    #[default]
    Jpeg,
    /// `<id>_g.fits`, `<id>_r.fits`, `<id>_i.fits`: calibrated bands with WCS.
    Fits,
    /// The same, gzipped.
    FitsGz,
    /// `cutouts-00000.tar` and so on, of [`TAR_MEMBERS`] JPEGs each.
    Tar,
}

/// What to make.
#[derive(Debug, Clone, PartialEq)]
pub struct SimulateOptions {
    /// The number of galaxies.
    pub count: u64,
    /// Galaxies of another seed have nothing in common.
    pub seed: u64,
    /// Index of the first: a simulation can be made in pieces.
    pub first: u64,
    /// Files to write.
    pub format: Format,
    /// Pixels a side.
    pub size: usize,
    /// How classes are chosen.
    pub classes: Classes,
    /// Volunteers who look at each, whose votes are written; none for no votes.
    pub votes: u32,
}

impl Default for SimulateOptions {
    /// A hundred JPEGs as Galaxy Zoo 2's, classes in turn.
    fn default() -> Self {
        Self {
            count: 100,
            seed: 0,
            first: 0,
            format: Format::Jpeg,
            size: 424,
            classes: Classes::Balanced,
            votes: 0,
        }
    }
}

/// What was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimulateReport {
    /// Galaxies of each class, in the order of [`Class::ALL`].
    pub classes: [u64; 5],
    /// Files written, `labels.csv` among them.
    pub files: u64,
    /// Bytes of all of them.
    pub bytes: u64,
    /// The table of `id,label,ra,dec,path`, where a path is relative to the
    /// folder: a file; `archive.tar/member`; or, for bands, a name in which
    /// `{band}` stands for g, r and i.
    pub labels: PathBuf,
}

/// Renders galaxies into `folder`, which is made if it is not there. `progress`
/// hears the number of galaxies written so far.
///
/// # Errors
/// A folder that holds anything is refused before anything is written. An I/O
/// error ends the work and leaves what was written, without `labels.csv`.
pub fn write(
    folder: &Path,
    options: &SimulateOptions,
    mut progress: impl FnMut(u64),
) -> Result<SimulateReport, SimulateError> {
    let SimulateOptions { count, first, .. } = *options;
    let simulation =
        Simulation::new(options.seed).with_size(options.size)?.with_classes(options.classes)?;
    if count == 0 {
        return Err(SimulateError::NoGalaxies);
    }
    let end = first.checked_add(count).ok_or(SimulateError::Indices { first, count })?;
    output::refuse_folder(folder)?;
    prepare(folder)?;

    let mut output = Output::new(folder, options.format)?;
    let tree = votes::tree();
    let path = folder.join("votes.csv");
    let mut table = String::new();
    if options.votes > 0 {
        table = votes::header(&tree);
    }
    let chunk = CHUNK * rayon::current_num_threads() as u64;
    let mut start = first;
    while start < end {
        let stop = end.min(start.saturating_add(chunk));
        let made: Vec<_> = (start..stop)
            .into_par_iter()
            .map(|index| render(&simulation, index, options.format))
            .collect();
        for (index, made) in (start..).zip(made) {
            let (truth, files) = made?;
            output.add(&truth, &files)?;
            if options.votes > 0 {
                let given = votes::draw(&tree, truth.class, options.seed, index, options.votes);
                table += &votes::line(&tree, &truth.id, &given);
            }
        }
        progress(stop - first);
        start = stop;
    }
    if options.votes > 0 {
        // At some 100 bytes a galaxy less than its pictures by far.
        fs::write(&path, &table).map_err(SimulateError::io(&path))?;
        output.report.files += 1;
        output.report.bytes += table.len() as u64;
    }
    output.finish()
}

/// Makes the folder, or makes sure that it is empty.
pub(super) fn prepare(folder: &Path) -> Result<(), SimulateError> {
    if is_remote(folder) {
        let why = "is a URL, and simulations are written into folders";
        return Err(StorageError::Output { path: folder.to_owned(), why }.into());
    }
    fs::create_dir_all(folder).map_err(SimulateError::io(folder))?;
    let mut entries = fs::read_dir(folder).map_err(SimulateError::io(folder))?;
    match entries.next() {
        None => Ok(()),
        Some(_) => Err(SimulateError::NotEmpty { folder: folder.to_owned() }),
    }
}

/// Names and bytes of a galaxy's files.
type Files = Vec<(String, Vec<u8>)>;

fn render(
    simulation: &Simulation,
    index: u64,
    format: Format,
) -> Result<(Truth, Files), SimulateError> {
    let galaxy = simulation.galaxy(index);
    let id = &galaxy.truth.id;
    let named = |bands: [Vec<u8>; 3], extension| {
        let bands = bands.into_iter().enumerate();
        bands.map(|(band, bytes)| (encode::band_file(id, band, extension), bytes)).collect()
    };
    let files = match format {
        Format::Jpeg | Format::Tar => {
            let bytes = encode::jpeg(&galaxy)
                .map_err(|source| SimulateError::Encode { id: id.clone(), source })?;
            vec![(format!("{id}.jpg"), bytes)]
        }
        Format::Fits => named(encode::fits(&galaxy), "fits"),
        Format::FitsGz => named(encode::fits_gz(&galaxy), "fits.gz"),
    };
    Ok((galaxy.truth, files))
}

/// An archive in the making.
struct Archive {
    name: String,
    builder: tar::Builder<BufWriter<File>>,
    members: u64,
}

/// The folder in the making.
struct Output<'a> {
    folder: &'a Path,
    format: Format,
    archive: Option<Archive>,
    archives: u64,
    labels: TempFile,
    /// Lines that are not written yet.
    lines: String,
    report: SimulateReport,
}

impl<'a> Output<'a> {
    fn new(folder: &'a Path, format: Format) -> Result<Self, SimulateError> {
        let report =
            SimulateReport { classes: [0; 5], files: 0, bytes: 0, labels: folder.join(LABELS) };
        let labels = TempFile::create(folder, LABELS)?;
        let lines = String::new();
        let mut output = Self { folder, format, archive: None, archives: 0, labels, lines, report };
        output.line("id,label,ra,dec,path\n")?;
        Ok(output)
    }

    fn add(&mut self, truth: &Truth, files: &Files) -> Result<(), SimulateError> {
        let id = &truth.id;
        let path = match self.format {
            Format::Jpeg => format!("{id}.jpg"),
            Format::Fits => format!("{id}_{{band}}.fits"),
            Format::FitsGz => format!("{id}_{{band}}.fits.gz"),
            Format::Tar => format!("{}/{id}.jpg", self.archive()?.name),
        };
        for (name, bytes) in files {
            if self.format == Format::Tar {
                self.append(name, bytes)?;
            } else {
                let path = self.folder.join(name);
                fs::write(&path, bytes).map_err(SimulateError::io(&path))?;
                self.report.files += 1;
                self.report.bytes += bytes.len() as u64;
            }
        }
        self.report.classes[Class::ALL.iter().take_while(|&&c| c != truth.class).count()] += 1;
        let position = truth.position;
        // Eight decimals of a degree are 36 microarcseconds.
        self.line(&format!(
            "{id},{},{:.8},{:.8},{path}\n",
            truth.class.label(),
            position.ra,
            position.dec
        ))
    }

    /// The archive that takes the next member.
    fn archive(&mut self) -> Result<&mut Archive, SimulateError> {
        if self.archive.as_ref().is_some_and(|a| a.members == TAR_MEMBERS) {
            self.close()?;
        }
        if self.archive.is_none() {
            let name = format!("cutouts-{:05}.tar", self.archives);
            let path = self.folder.join(&name);
            let file = File::create_new(&path).map_err(SimulateError::io(&path))?;
            let builder = tar::Builder::new(BufWriter::with_capacity(1 << 20, file));
            self.archives += 1;
            self.archive = Some(Archive { name, builder, members: 0 });
        }
        Ok(self.archive.as_mut().expect("it was just made"))
    }

    fn append(&mut self, name: &str, bytes: &[u8]) -> Result<(), SimulateError> {
        let folder = self.folder;
        let archive = self.archive()?;
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        archive
            .builder
            .append_data(&mut header, name, bytes)
            .map_err(SimulateError::io(folder.join(&archive.name)))?;
        archive.members += 1;
        Ok(())
    }

    /// Ends the archive in the making, if there is one.
    fn close(&mut self) -> Result<(), SimulateError> {
        let Some(archive) = self.archive.take() else { return Ok(()) };
        let path = self.folder.join(&archive.name);
        let end = |builder: tar::Builder<BufWriter<File>>| -> io::Result<u64> {
            let file =
                builder.into_inner()?.into_inner().map_err(io::IntoInnerError::into_error)?;
            Ok(file.metadata()?.len())
        };
        self.report.bytes += end(archive.builder).map_err(SimulateError::io(path))?;
        self.report.files += 1;
        Ok(())
    }

    fn line(&mut self, line: &str) -> Result<(), SimulateError> {
        self.report.bytes += line.len() as u64;
        self.lines.push_str(line);
        if self.lines.len() >= 1 << 16 {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), SimulateError> {
        self.labels.append(self.lines.as_bytes())?;
        self.lines.clear();
        Ok(())
    }

    fn finish(mut self) -> Result<SimulateReport, SimulateError> {
        self.close()?;
        self.flush()?;
        self.labels.commit(LABELS)?;
        self.report.files += 1;
        Ok(self.report)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn galaxy() -> (Truth, Files) {
        let simulation = Simulation::new(1).with_size(32).expect("a valid size");
        render(&simulation, 0, Format::Jpeg).expect("a JPEG")
    }

    #[test]
    fn a_full_disk_is_an_error_that_names_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let mut output = Output::new(folder.path(), Format::Jpeg).unwrap();
        let (truth, files) = galaxy();
        let full = folder.path().join(&files[0].0);
        symlink("/dev/full", &full).unwrap();
        match output.add(&truth, &files) {
            Err(SimulateError::Io { path, source }) => {
                assert_eq!(path, full);
                assert_eq!(source.kind(), io::ErrorKind::StorageFull);
            }
            other => panic!("{other:?}"),
        }
        assert!(!folder.path().join("labels.csv").exists());
    }

    #[test]
    fn a_full_disk_shows_when_an_archive_is_closed_at_the_latest() {
        let folder = tempfile::tempdir().unwrap();
        let mut output = Output::new(folder.path(), Format::Tar).unwrap();
        let file = File::options().write(true).open("/dev/full").unwrap();
        let builder = tar::Builder::new(BufWriter::new(file));
        output.archive = Some(Archive { name: "full.tar".into(), builder, members: 0 });
        let (truth, files) = galaxy();
        let result = output.add(&truth, &files).and_then(|()| output.finish().map(|_| ()));
        match result {
            Err(SimulateError::Io { path, source }) => {
                assert!(path.ends_with("full.tar"));
                assert_eq!(source.kind(), io::ErrorKind::StorageFull);
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn archives_end_where_they_are_full() {
        let folder = tempfile::tempdir().unwrap();
        let mut output = Output::new(folder.path(), Format::Tar).unwrap();
        let (truth, files) = galaxy();
        output.add(&truth, &files).unwrap();
        output.archive.as_mut().unwrap().members = TAR_MEMBERS;
        output.add(&truth, &files).unwrap();
        let report = output.finish().unwrap();
        assert_eq!(report.files, 3);
        for name in ["cutouts-00000.tar", "cutouts-00001.tar", "labels.csv"] {
            assert!(folder.path().join(name).exists(), "{name}");
        }
        let on_disk: u64 = fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().metadata().unwrap().len())
            .sum();
        assert_eq!(report.bytes, on_disk);
    }
}
