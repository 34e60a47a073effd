//! FITS files of one band each, put together to one cutout.
//!
//! Which files lie in a folder is left to the callers: they note every name
//! first and then ask for each name's role, so that a group is whole whatever
//! the order of its files. Invariant: every noted file is an entry, part of
//! one, or reported as a companion to be counted.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::super::{Entry, Locator};
use super::error::ListError;
use super::names::{fits_stem, not_utf8};
use crate::cutout::{Reason, Rejection};

/// Names of broad-band filters that mark a file as one band of a galaxy even
/// where the run asks for other bands. A file `X_2.fits` or `X_v3.fits` alone
/// is no band.
pub(super) const FILTERS: [&str; 15] =
    ["u", "g", "r", "i", "z", "y", "U", "B", "V", "R", "I", "Y", "J", "H", "K"];

/// How a file of one band is named, such as `{id}_{band}.fits`. The extension
/// stands for every FITS extension (`.fit`, `.fits.gz`, `.fits.fz` …).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BandPattern {
    text: String,
    band_first: bool,
    prefix: String,
    middle: String,
    suffix: String,
}

impl Default for BandPattern {
    fn default() -> Self {
        Self {
            text: "{id}_{band}.fits".into(),
            band_first: false,
            prefix: String::new(),
            middle: "_".into(),
            suffix: String::new(),
        }
    }
}

impl FromStr for BandPattern {
    type Err = ListError;

    fn from_str(text: &str) -> Result<Self, ListError> {
        let fail = |why| Err(ListError::BandPattern { pattern: text.into(), why });
        let stem = fits_stem(text).unwrap_or(text);
        if stem.contains('/') {
            return fail("it names files within one folder, so it has no '/'");
        }
        if stem.matches("{id}").count() != 1 || stem.matches("{band}").count() != 1 {
            return fail("it must hold {id} once and {band} once");
        }
        let band_first = stem.find("{band}") < stem.find("{id}");
        let (first, second) = if band_first { ("{band}", "{id}") } else { ("{id}", "{band}") };
        let parts = stem
            .split_once(first)
            .and_then(|(prefix, rest)| Some((prefix, rest.split_once(second)?)));
        let Some((prefix, (middle, suffix))) = parts else {
            return fail("it must hold {id} once and {band} once");
        };
        if middle.is_empty() {
            return fail("something must separate {id} from {band}");
        }
        Ok(Self {
            text: text.into(),
            band_first,
            prefix: prefix.into(),
            middle: middle.into(),
            suffix: suffix.into(),
        })
    }
}

impl fmt::Display for BandPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl BandPattern {
    /// Id and band of a file name without its FITS extension. The longest of
    /// `bands` that fits wins; any other band is what follows the last
    /// separator (precedes the first, if the band comes first).
    pub(super) fn split<'a>(&self, stem: &'a str, bands: &[String]) -> Option<(&'a str, &'a str)> {
        let core = stem.strip_prefix(&*self.prefix)?.strip_suffix(&*self.suffix)?;
        let known = bands
            .iter()
            .filter_map(|band| {
                let id = if self.band_first {
                    core.strip_prefix(&**band)?.strip_prefix(&*self.middle)?
                } else {
                    core.strip_suffix(&**band)?.strip_suffix(&*self.middle)?
                };
                let found = if self.band_first {
                    &core[..band.len()]
                } else {
                    &core[core.len() - band.len()..]
                };
                Some((id, found))
            })
            .max_by_key(|(_, band)| band.len());
        let split = known.or_else(|| {
            if self.band_first {
                core.split_once(&*self.middle).map(|(band, id)| (id, band))
            } else {
                core.rsplit_once(&*self.middle)
            }
        });
        split.filter(|(id, band)| !id.is_empty() && !band.is_empty())
    }

    /// The files of `id` in a word: the pattern with the id put in.
    fn of_id(&self, id: &str) -> String {
        self.text.replacen("{id}", id, 1)
    }
}

/// What a file is among its neighbours.
#[derive(Debug)]
pub(super) enum Role {
    /// Not a band: a cutout of its own.
    Alone,
    /// The first file of a group, whose entry stands here.
    Leader(Entry),
    /// A further file of a group that has its entry.
    Member,
    /// A file beside a group that is no part of it: another band, a mask, a
    /// second copy of a band.
    Companion,
}

/// The files of one id in one folder.
#[derive(Debug, Default)]
struct Group {
    /// File names, one a band of the run.
    files: Vec<Option<String>>,
    /// Other filters seen.
    others: Vec<String>,
    has_entry: bool,
}

impl Group {
    fn has_run_band(&self) -> bool {
        self.files.iter().any(Option::is_some)
    }
}

/// Groups of band files, by folder and id. Memory grows with the band files
/// noted.
#[derive(Debug)]
pub(super) struct BandGroups {
    pattern: BandPattern,
    bands: Vec<String>,
    groups: HashMap<(PathBuf, String), Group>,
}

impl BandGroups {
    /// No groups yet. Without `bands`, every file stands alone.
    pub fn new(pattern: &BandPattern, bands: &[String]) -> Self {
        Self { pattern: pattern.clone(), bands: bands.to_vec(), groups: HashMap::new() }
    }

    /// Whether a FITS file's name is that of one of the run's bands.
    pub fn is_band(&self, name: &str) -> bool {
        self.split(name).is_some_and(|(_, band)| self.bands.iter().any(|b| b == band))
    }

    fn split<'a>(&self, name: &'a str) -> Option<(&'a str, &'a str)> {
        if self.bands.is_empty() {
            return None;
        }
        self.pattern.split(fits_stem(name)?, &self.bands)
    }

    /// Notes that `folder` (absolute) holds a FITS file `name`.
    pub fn note(&mut self, folder: &Path, name: &str) {
        let Some((id, band)) = self.split(name) else { return };
        let run_band = self.bands.iter().position(|b| b == band);
        if run_band.is_none() && !FILTERS.contains(&band) {
            return;
        }
        let count = self.bands.len();
        let group = self.groups.entry((folder.to_owned(), id.to_owned())).or_default();
        group.files.resize(count, None);
        match run_band {
            Some(index) => {
                group.files[index].get_or_insert_with(|| name.to_owned());
            }
            None if !group.others.iter().any(|o| o == band) => group.others.push(band.to_owned()),
            None => {}
        }
    }

    /// What the FITS file `name` in `folder` is, once every file is noted;
    /// `given` is the folder as the user knows it.
    pub fn role(&mut self, given: &Path, folder: &Path, name: &str) -> Role {
        let Some((id, band)) = self.split(name) else { return Role::Alone };
        let run_band = self.bands.iter().position(|b| b == band);
        let key = (folder.to_owned(), id.to_owned());
        let Some(group) = self.groups.get_mut(&key) else { return Role::Alone };
        let is_part = match run_band {
            Some(index) => group.files[index].as_deref() == Some(name),
            None if group.has_run_band() => {
                // `cutout_1.fits` beside `cutout_r.fits` is another cutout;
                // `X_mask.fits` and `X_z.fits` beside `X_r.fits` are not.
                let is_number = band.starts_with(|c: char| c.is_ascii_digit());
                return if is_number { Role::Alone } else { Role::Companion };
            }
            None if FILTERS.contains(&band) => true,
            None => return Role::Alone,
        };
        if !is_part {
            return Role::Companion;
        }
        if group.has_entry {
            return Role::Member;
        }
        group.has_entry = true;
        Role::Leader(Entry {
            id: id.to_owned(),
            source: given.join(self.pattern.of_id(id)).to_string_lossy().into_owned(),
            locator: locate(&self.bands, group, folder),
            position: None,
        })
    }
}

/// Where the bands of a whole group are, or which it lacks.
fn locate(bands: &[String], group: &Group, folder: &Path) -> Locator {
    if let Some(rejection) = not_utf8(folder) {
        return Locator::Rejected(rejection);
    }
    let mut files = Vec::with_capacity(bands.len());
    let mut missing = Vec::new();
    for (band, file) in bands.iter().zip(&group.files) {
        match file {
            Some(name) => files.push((band.clone(), folder.join(name))),
            None => missing.push(band.as_str()),
        }
    }
    if missing.is_empty() {
        return Locator::Bands(files);
    }
    let found: Vec<&str> =
        files.iter().map(|(band, _)| &**band).chain(group.others.iter().map(|o| &**o)).collect();
    Locator::Rejected(Rejection::new(
        Reason::MissingBand,
        format!("no file for band {}; there is {}", missing.join(", "), found.join(", ")),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bands(names: &[&str]) -> Vec<String> {
        names.iter().map(|b| (*b).to_owned()).collect()
    }

    #[test]
    fn patterns_split_names() {
        let irg = bands(&["i", "r", "g"]);
        for (pattern, stem, expected) in [
            ("{id}_{band}.fits", "PGC1_r", Some(("PGC1", "r"))),
            ("{id}_{band}.fits", "NGC_12_r", Some(("NGC_12", "r"))),
            ("{id}_{band}.fits", "NGC_12", Some(("NGC", "12"))),
            ("{id}_{band}.fits", "_r", None),
            ("{id}_{band}.fits", "NGC12", None),
            ("{band}-{id}.fit", "r-NGC-1", Some(("NGC-1", "r"))),
            ("cutout-{id}-{band}_wide.fits", "cutout-银河-i_wide", Some(("银河", "i"))),
            ("{id}_{band}", "a_i", Some(("a", "i"))),
        ] {
            let pattern: BandPattern = pattern.parse().unwrap();
            assert_eq!(pattern.split(stem, &irg), expected, "{pattern} {stem}");
        }
        let hsc = bands(&["HSC_I", "I"]);
        assert_eq!(BandPattern::default().split("7_HSC_I", &hsc), Some(("7", "HSC_I")));
        assert_eq!("{id}_{band}.fits".parse::<BandPattern>().unwrap(), BandPattern::default());
    }

    #[test]
    fn patterns_that_cannot_be_used_are_refused() {
        for bad in ["{id}.fits", "{id}{band}.fits", "{band}/{id}.fits", "{id}_{id}_{band}", ""] {
            let error = bad.parse::<BandPattern>().unwrap_err();
            assert!(matches!(error, ListError::BandPattern { .. }), "{bad}: {error}");
        }
    }

    fn roles(names: &[&str]) -> Vec<String> {
        let mut groups = BandGroups::new(&BandPattern::default(), &bands(&["i", "r", "g"]));
        let folder = Path::new("/d");
        for name in names {
            groups.note(folder, name);
        }
        names
            .iter()
            .map(|name| match groups.role(Path::new("d"), folder, name) {
                Role::Alone => "alone".into(),
                Role::Member => "member".into(),
                Role::Companion => "companion".into(),
                Role::Leader(entry) => match entry.locator {
                    Locator::Bands(files) => {
                        let names: Vec<_> =
                            files.iter().map(|(b, p)| format!("{b}={}", p.display())).collect();
                        format!("{} {} {}", entry.id, entry.source, names.join(" "))
                    }
                    Locator::Rejected(r) => format!("{} {r}", entry.id),
                    other => panic!("{other:?}"),
                },
            })
            .collect()
    }

    #[test]
    fn a_group_has_its_bands_in_the_order_of_the_run() {
        assert_eq!(
            roles(&["X_g.fits", "X_i.fit", "X_mask.fits", "X_r.fits.gz", "X_z.fits"]),
            [
                "X d/X_{band}.fits i=/d/X_i.fit r=/d/X_r.fits.gz g=/d/X_g.fits",
                "member",
                "companion",
                "member",
                "companion"
            ]
        );
    }

    #[test]
    fn ids_that_begin_alike_stay_apart() {
        let names = ["X_g.fits", "X_h_g.fits", "X_h_i.fits", "X_h_r.fits", "X_i.fits", "X_r.fits"];
        let roles = roles(&names);
        assert!(roles[0].starts_with("X d/X_{band}"), "{roles:?}");
        assert!(roles[1].starts_with("X_h d/X_h_{band}"), "{roles:?}");
        assert_eq!(roles.iter().filter(|r| *r == "member").count(), 4);
    }

    #[test]
    fn an_incomplete_group_says_what_it_lacks() {
        assert_eq!(
            roles(&["X_r.fits", "X_u.fits"]),
            ["X missing_band: no file for band i, g; there is r, u", "companion"]
        );
        assert_eq!(
            roles(&["X_u.fits", "X_z.fits"]),
            ["X missing_band: no file for band i, r, g; there is u, z", "member"]
        );
    }

    #[test]
    fn cubes_with_numbered_names_are_no_bands() {
        assert_eq!(roles(&["cutout_1.fits", "cutout_2.fits", "x_v2.fits"]), ["alone"; 3]);
        assert_eq!(roles(&["cutout_1.fits", "cutout_r.fits"])[0], "alone");
    }

    #[test]
    fn a_second_copy_of_a_band_is_a_companion() {
        let roles = roles(&["X_g.fits", "X_i.fits", "X_r.fits", "X_r.fits.gz"]);
        assert!(roles[0].contains("r=/d/X_r.fits "), "{roles:?}");
        assert_eq!(roles[3], "companion");
    }

    #[test]
    fn without_bands_every_file_stands_alone() {
        let mut groups = BandGroups::new(&BandPattern::default(), &[]);
        let folder = Path::new("/d");
        groups.note(folder, "X_r.fits");
        assert!(matches!(groups.role(folder, folder, "X_r.fits"), Role::Alone));
    }
}
