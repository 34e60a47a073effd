//! The pictures that the networks would see, as files: the first half of the
//! line with PNGs at its end.
//!
//! Invariant: a picture's name is its id where that is a name; where it is not,
//! or is another's too, what is not alike about it is put behind.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::resolved::Resolved;
use super::{ClassifyError, ClassifyOptions, setup};
use crate::cutout::RgbImage;
use crate::draw::pixels;
use crate::events::Silent;
use crate::line::{self, Found, Waiting};
use crate::model::model_file::Model;
use crate::pipeline::{Failure, Graph, Resequencer, Stop, Window};
use crate::storage::remote::is_remote;
use crate::storage::{StorageError, output};

/// What was written.
#[derive(Debug, Default)]
pub struct Looked {
    /// Pictures.
    pub written: u64,
    /// Ids of the others, and why.
    pub rejected: Vec<(String, String)>,
    /// Inputs that could not be listed.
    pub problems: usize,
    /// Which, and what was taken for granted.
    pub notes: Vec<String>,
}

/// Pictures on their way to the folder, beyond those that the stages hold.
const WINDOW: usize = 64;

/// Longest name in bytes, without its ending.
const LONGEST: usize = 200;

/// Writes the pictures of the inputs into the options' output, a folder that is
/// made or is empty. `None` if `stop` ended it.
///
/// # Errors
/// [`ClassifyError`]; [`ClassifyError::Pictures`] if the folder holds anything or
/// cannot be written.
pub fn look(options: &ClassifyOptions, stop: &Stop) -> Result<Option<Looked>, ClassifyError> {
    let model = Model::read(&options.model)?;
    let resolved = Resolved::new(options, &model)?;
    let (mut front, crops) = (setup::front(&resolved), setup::crops(&resolved));
    let wait = Waiting { listener: &Silent, stop };
    let found = line::list(&resolved.inputs, &resolved.reading, &wait)?;
    let Some(Found { images, problems, notes: told }) = found else { return Ok(None) };
    front.remote |= images.iter().any(|image| image.entry.is_remote());
    let folder = &resolved.output;
    output::refuse_folder(folder)?;
    empty_folder(folder)?;
    let looked = Arc::new(Mutex::new(Looked {
        problems: problems.len(),
        notes: [problems, told].concat(),
        ..Looked::default()
    }));
    if !images.is_empty() {
        let mut graph = Graph::new(stop.clone());
        let window = Window::new(WINDOW + 4 * front.workers);
        let listed = line::source(&mut graph, images, &window);
        let prepared = front.extend(&mut graph, listed, || crops.worker());
        let (total, folder) = (Arc::clone(&looked), folder.clone());
        let (mut order, mut names) = (Resequencer::new(), Names::default());
        graph.sink("write", prepared, move |picture| {
            let Some(picture) = picture else { return Ok(()) };
            order.push(picture);
            while let Some(cutout) = order.pop() {
                let mut looked = total.lock().unwrap_or_else(PoisonError::into_inner);
                match cutout.state {
                    Ok(picture) => {
                        let path = folder.join(names.of(&cutout.id, cutout.index));
                        write(&path, &picture)
                            .map_err(|source| ClassifyError::Pictures { path, source })?;
                        looked.written += 1;
                    }
                    Err(rejection) => looked.rejected.push((cutout.id, rejection.to_string())),
                }
                window.leave(1);
            }
            Ok(())
        });
        match graph.run().result {
            Ok(()) => {}
            Err(Failure::Interrupted) => return Ok(None),
            Err(failure) => return Err(failure.into()),
        }
    }
    let mut looked = looked.lock().unwrap_or_else(PoisonError::into_inner);
    let trained = (!model.description.untrained).then_some(&model.description.input);
    looked.notes.extend(crops.observed.notes(&crops.preparation, trained));
    Ok(Some(std::mem::take(&mut looked)))
}

/// Makes a folder, or finds it empty.
pub(super) fn empty_folder(folder: &Path) -> Result<(), ClassifyError> {
    if is_remote(folder) {
        let why = "is a URL, and these files go into a folder of this machine";
        return Err(StorageError::Output { path: folder.to_owned(), why }.into());
    }
    let failed = |source| ClassifyError::Pictures { path: folder.to_owned(), source };
    fs::create_dir_all(folder).map_err(failed)?;
    match fs::read_dir(folder).map_err(failed)?.next() {
        Some(_) => Err(failed(std::io::ErrorKind::DirectoryNotEmpty.into())),
        None => Ok(()),
    }
}

pub(super) fn write(path: &Path, picture: &RgbImage) -> std::io::Result<()> {
    let file = File::create_new(path)?;
    // Half a picture is none.
    pixels::png(BufWriter::new(file), picture).inspect_err(|_| drop(fs::remove_file(path)))
}

/// Names that were given.
#[derive(Default)]
pub(super) struct Names(HashSet<String>);

impl Names {
    /// The name of the picture of an object: its id, as far as a file may be
    /// called so on any system.
    pub(super) fn of(&mut self, id: &str, index: u64) -> PathBuf {
        let safe: String = id
            .chars()
            .map(|c| if c.is_alphanumeric() || "+-_.".contains(c) { c } else { '_' })
            .collect();
        let mut end = safe.len().min(LONGEST);
        while !safe.is_char_boundary(end) {
            end -= 1;
        }
        let safe = safe[..end].trim_start_matches('.');
        let mut name = if safe.is_empty() { format!("row-{index}") } else { safe.to_owned() };
        // Some systems do not tell upper from lower case.
        if !self.0.insert(name.to_lowercase()) {
            name = format!("{name}-row-{index}");
            self.0.insert(name.to_lowercase());
        }
        PathBuf::from(name + ".png")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_id_has_a_name_of_its_own() {
        let mut names = Names::default();
        let mut of = |id: &str, index| names.of(id, index).to_str().unwrap().to_owned();
        assert_eq!(of("1237648720693755918", 0), "1237648720693755918.png");
        assert_eq!(of("J000012.3+004512.1", 1), "J000012.3+004512.1.png");
        assert_eq!(of("../../etc/passwd", 2), "_.._etc_passwd.png");
        assert_eq!(of("a/b", 3), "a_b.png");
        assert_eq!(of("a:b", 4), "a_b-row-4.png");
        assert_eq!(of("A_B", 5), "A_B-row-5.png");
        assert_eq!(of("", 6), "row-6.png");
        assert_eq!(of("..", 7), "row-7.png");
        assert!(of(&"ä".repeat(300), 8).len() <= LONGEST + 4);
    }
}
