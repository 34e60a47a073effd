//! The page of a catalog.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use maud::{Markup, html};

use super::galaxies::Galaxies;
use super::gather::{DOTS, OfClass, SEED, Seen};
use super::heat::Heat;
use super::html::{Section, card, data_url, foreign, page as whole, panel};
use super::labelled::Labelled;
use super::truth;
use super::{ReportOptions, Reported};
use crate::draw::chart::bars::{Bar, bars, histogram};
use crate::draw::chart::{UNNAMED, colour, percent, sky};
use crate::export::Best;
use crate::metrics::ClassificationReport;
use crate::model::model_file::Model;
use crate::page::{PageError, raster};
use crate::run::RunFolder;
use crate::storage::json::json;
use crate::storage::shown;
use crate::words::{count, counted};

/// Pictures on a page, all kinds and classes together: 1,200 of 8 kB are 10 MB.
const PICTURES: usize = 1200;

/// Pictures of each kind and class.
const EACH: usize = 8;

/// Classes up to which each has a histogram of its own.
const HISTOGRAMS: usize = 24;

/// The page, and what is on it.
pub(super) fn page(
    run: &RunFolder,
    options: &ReportOptions,
    known: Option<Labelled>,
) -> Result<(String, Reported), PageError> {
    let settings = &run.manifest().settings;
    let names = settings.model.scheme().tree().class_names();
    let model = options.model.as_ref().map(|path| Model::read(path).map(|model| (path, model)));
    let model = model.transpose()?;
    if let Some((path, model)) = &model {
        let found = model.digest.clone().unwrap_or_default();
        if found != settings.model.digest {
            let known = settings.model.digest.clone();
            return Err(PageError::OtherModel { path: (*path).clone(), found, known });
        }
    }
    let each = (PICTURES / (4 * names.len().max(1))).clamp(1, EACH);
    let seen = Seen::of(run, each, known)?;
    if let Some(known) = seen.known.as_ref().filter(|known| known.rows + known.rejected == 0) {
        return Err(PageError::OtherGalaxies { labels: known.labels });
    }
    let shown = Shown::of(&seen);
    let galaxies = Galaxies::of(run, shown.rows.clone(), shown.pictured())?;
    let (pictures, without) = galaxies.counts();
    let heat = match (&model, &seen.known) {
        (Some((_, model)), Some(known)) => Some(Heat::of(run, model, &known.mistaken())?),
        _ => None,
    };

    let mut sections = vec![
        Section { id: "labels", title: "Labels", content: labels(&names, &seen) },
        Section { id: "confidence", title: "Confidence", content: confidence(&names, &seen) },
    ];
    if seen.placed > 0 {
        let content = on_the_sky(&names, &seen)?;
        sections.push(Section { id: "sky", title: "On the sky", content });
    }
    if !seen.rejected.is_empty() {
        let content = rejected(&seen, &galaxies);
        sections.push(Section { id: "rejected", title: "Without a label", content });
    }
    if let Some(known) = &seen.known {
        let content = truth::how_good(&names, known, &shown.mistakes, &galaxies, heat.as_ref());
        sections.push(Section { id: "truth", title: "Against known labels", content });
    }
    let content = pictures_of(&names, &seen, &shown, &galaxies);
    sections.push(Section { id: "galaxies", title: "Galaxies", content });
    let content = html! {
        p class="note" { "The rows of all pictures and examples, with every column of the catalog but vectors." }
        (galaxies.table())
    };
    sections.push(Section { id: "rows", title: "Rows", content });
    let model = model.as_ref().map(|(_, model)| model);
    let content = provenance(run, &seen, model);
    sections.push(Section { id: "provenance", title: "Speed and provenance", content });

    let title = name_of(run.dir());
    let page = whole(&title, &lead(run, &seen), &sections);
    Ok((page, Reported { bytes: 0, rows: seen.rows, pictures, without }))
}

/// What a folder is called.
pub(super) fn name_of(dir: &Path) -> String {
    let whole = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
    let name = whole.file_name().unwrap_or(dir.as_os_str());
    name.to_string_lossy().into_owned()
}

/// The rows that are shown, kind by kind and class by class.
struct Shown {
    /// Surest, least sure, oddest, random: places by class.
    kinds: [Vec<Vec<u64>>; 4],
    mistakes: Vec<u64>,
    /// Rows that are named and have no picture.
    rows: Vec<u64>,
}

/// What the kinds are called.
const KINDS: [&str; 4] = ["Surest", "Least sure", "Oddest", "At random"];

impl Shown {
    fn of(seen: &Seen) -> Self {
        fn places<K: Ord + Clone>(
            seen: &Seen,
            best: impl Fn(&OfClass) -> &Best<K>,
        ) -> Vec<Vec<u64>> {
            seen.classes.iter().map(|class| best(class).clone().places()).collect()
        }
        let known = seen.known.as_ref();
        let mut rows: Vec<u64> = seen.rejected.values().map(|(_, first)| *first).collect();
        rows.extend(known.map(Labelled::examples).unwrap_or_default());
        Self {
            kinds: [
                places(seen, |class| &class.surest),
                places(seen, |class| &class.least),
                places(seen, |class| &class.oddest),
                places(seen, |class| &class.random),
            ],
            mistakes: known.map(|known| known.mistakes.clone().places()).unwrap_or_default(),
            rows,
        }
    }

    fn pictured(&self) -> Vec<u64> {
        self.kinds.iter().flatten().flatten().chain(&self.mistakes).copied().collect()
    }
}

fn lead(run: &RunFolder, seen: &Seen) -> Markup {
    let manifest = run.manifest();
    let expected = manifest.listing.rows;
    let above = seen.oddness.as_ref().map(|(_, told)| percent(seen.odd, *told));
    let settings = &manifest.settings;
    html! {
        p class="soft" {
            "A catalog of " (counted(seen.rows, "cutout", "cutouts")) ", classified by "
            (foreign(&settings.model.name)) "."
        }
        @if seen.missing_parts > 0 {
            p class="warn" {
                "Not complete: " (count(seen.rows)) " of " (counted(expected, "row", "rows")) "; "
                (counted(seen.missing_parts, "part is", "parts are")) " missing."
            }
        }
        @if settings.model.untrained { p class="warn" { "The model is untrained: its labels mean nothing." } }
        @for problem in manifest.listing.problems.iter().take(5) { p class="warn" { (foreign(problem)) } }
        @if manifest.listing.problems.len() > 5 {
            @let more = manifest.listing.problems.len() as u64 - 5;
            p class="warn" { "and " (counted(more, "more such problem", "more such problems")) " (run.json)" }
        }
        div class="cards" {
            (card(&count(seen.rows), if seen.rows == 1 { "row" } else { "rows" }))
            (card(&count(seen.labelled), &format!("with a label, {}", percent(seen.labelled, seen.rows))))
            (card(&count(seen.rows - seen.labelled), "without one"))
            @if let Some(median) = median(seen) { (card(&format!("{median:.2}"), "median confidence")) }
            @if let Some(above) = above { (card(&above, "odder than 99 % of known galaxies")) }
            @if let Some(known) = &seen.known {
                @let report = ClassificationReport::new(&known.confusion, Some(&known.calibration));
                (card(&percent(report.correct, report.total), "labelled as known"))
            }
        }
    }
}

/// To half a ten-thousandth; `None` without rows.
fn median(seen: &Seen) -> Option<f64> {
    let whole: u64 = seen.confidences.iter().sum();
    let mut below = 0;
    let place = seen.confidences.iter().position(|bin| {
        below += bin;
        2 * below >= whole
    })?;
    (whole > 0).then(|| (place as f64 + 0.5) / seen.confidences.len() as f64)
}

fn labels(names: &[String], seen: &Seen) -> Markup {
    let of = |(place, name): (usize, &String)| {
        let rows = seen.classes[place].rows;
        Bar { name: name.clone(), rows, colour: place }
    };
    let list: Vec<Bar> = names.iter().enumerate().map(of).collect();
    html! {
        (bars("Rows by label", &list, seen.labelled))
        p class="note" { "Shares are of the " (counted(seen.labelled, "row", "rows")) " with a label." }
    }
}

fn confidence(names: &[String], seen: &Seen) -> Markup {
    html! {
        p class="note" {
            "The probability of the label, by label. What a class's confidences are worth, only known labels tell."
        }
        div class="panels" {
            @for (place, name) in names.iter().enumerate().take(HISTOGRAMS) {
                (panel(name, &histogram(
                    &format!("Confidence of {}", shown::line(name)), "confidence", &seen.classes[place].confidence,
                    [0.0, 1.0], place,
                )))
            }
            @if let Some((bins, _)) = &seen.oddness {
                (panel("Oddness of all", &histogram("Oddness", "percentile of known galaxies", bins, [0.0, 100.0], 7)))
            }
        }
        @if names.len() > HISTOGRAMS { p class="note" { "and " (names.len() - HISTOGRAMS) " classes more" } }
        @if seen.oddness.is_some() {
            p class="note" {
                "Oddness is about even where galaxies are like those that the model learned from; what is above 99 is "
                "likely no galaxy, or none that it knows."
            }
        }
    }
}

fn on_the_sky(names: &[String], seen: &Seen) -> Result<Markup, PageError> {
    let dots = seen.dots();
    let colours = names.len();
    let part = sky::part(&dots);
    let few = seen.placed as usize <= DOTS;
    let map = match &part {
        Some(part) => sky::plate("Positions", part, &dots, colours),
        None if few => sky::whole("Positions", None, &dots, colours),
        None => {
            let (pixels, _) = sky::density(&seen.cells, 1080);
            let png = raster::png_with_alpha(&pixels, 1080, 540)?;
            sky::whole("Density of rows", Some(&data_url("image/png", &png)), &[], colours)
        }
    };
    let most = seen.cells.iter().copied().max().unwrap_or(0);
    Ok(html! {
        p class="note" {
            (counted(seen.placed, "row has", "rows have")) " a position"
            @if seen.placed < seen.rows { ", " (counted(seen.rows - seen.placed, "has", "have")) " none" }
            @if part.is_some() && !few { "; " (count(dots.len() as u64)) " of them at random are drawn" }
            ". East is to the left."
        }
        (map)
        @if part.is_none() && !few { (sky::scale(most)) }
        @else {
            p class="scale" {
                @for (place, name) in names.iter().enumerate() {
                    span class=(format!("swatch {}", colour(place))) {} (foreign(name)) " \u{2003}"
                }
                @if dots.iter().any(|dot| dot.colour == names.len()) {
                    span class=(format!("swatch {UNNAMED}")) {} "without a label"
                }
            }
        }
    })
}

fn rejected(seen: &Seen, galaxies: &Galaxies) -> Markup {
    let mut statuses: Vec<_> = seen.rejected.iter().collect();
    statuses.sort_by_key(|(_, (rows, _))| std::cmp::Reverse(*rows));
    html! {
        p class="note" {
            @match seen.rows - seen.labelled {
                1 => "One cutout could not be classified. It has its row, with the reason.",
                rows => { (count(rows)) " cutouts could not be classified. Each has its row, with the reason." }
            }
        }
        div class="scroll" {
            table {
                thead { tr { th { "status" } th class="number" { "rows" } th class="number" { "of all" }
                    th { "the first of them" } } }
                tbody {
                    @for (status, (rows, first)) in statuses {
                        @let (id, why) = galaxies.example(*first);
                        tr {
                            td { code { (foreign(status)) } }
                            td class="number" { (count(*rows)) }
                            td class="number" { (percent(*rows, seen.rows)) }
                            td { a href=(format!("#row-{first}")) { (foreign(&id)) } " " span class="soft" { (foreign(&why)) } }
                        }
                    }
                }
            }
        }
    }
}

fn pictures_of(names: &[String], seen: &Seen, shown: &Shown, galaxies: &Galaxies) -> Markup {
    html! {
        p class="note" {
            "As the networks saw them, read again from the run's inputs. Each leads to its row. Random ones are drawn "
            "with the seed " (SEED) "."
        }
        @for (class, name) in names.iter().enumerate() {
            @if seen.classes[class].rows > 0 {
                h3 { (foreign(name)) " " span class="soft" { (count(seen.classes[class].rows)) } }
                @for (kind, title) in KINDS.iter().enumerate() {
                    @let places = &shown.kinds[kind][class];
                    @if !places.is_empty() {
                        p class="soft" { (title) }
                        div class="pictures" { @for place in places { (galaxies.figure(*place, None, &[])) } }
                    }
                }
            }
        }
    }
}

fn provenance(run: &RunFolder, seen: &Seen, model: Option<&Model>) -> Markup {
    let manifest = run.manifest();
    let settings = &manifest.settings;
    let listing = &manifest.listing;
    let each = seen.bytes as f64 / seen.rows.max(1) as f64;
    let some: Vec<&String> = settings.inputs.iter().take(8).collect();
    html! {
        dl {
            dt { "run" } dd { code { (run.digest()) } " (SHA-256 of run.json)" }
            dt { "begun by" } dd { "hiwl " (foreign(&manifest.program)) ", format " (manifest.format) }
            dt { "model" } dd { (foreign(&settings.model.name)) " " code { (foreign(&settings.model.digest)) } }
            dt { "computed" } dd {
                (format!("{:?}", settings.precision).to_lowercase()) ", "
                @match settings.engine { Some(engine) => (format!("engine {engine:?}").to_lowercase()), None => "the device's usual engine" }
                ", stage 2 " (format!("{:?}", settings.stage2).to_lowercase())
            }
            dt { "inputs" } dd {
                @for input in &some { (foreign(input)) br; }
                @if settings.inputs.len() > some.len() { "and " (settings.inputs.len() - some.len()) " more" br; }
                span class="soft" {
                    (counted(listing.rows, "cutout", "cutouts")) "; "
                    (counted(listing.skipped, "other file", "other files")) " passed over"
                    @if listing.repeated_ids > 0 {
                        "; " (counted(listing.repeated_ids, "id", "ids")) " that several rows have"
                    }
                }
            }
            dt { "catalog" } dd {
                (counted(seen.parts, "part", "parts")) ", " (format!("{:.1} MB, {each:.1} bytes a row", seen.bytes as f64 / 1e6))
            }
            @if let Some((first, last)) = seen.written {
                dt { "written" } dd {
                    (time(first)) @if last != first { " to " (time(last)) }
                    @if let Some(speed) = speed(seen, first, last) { br; (speed) }
                }
            }
        }
        @if let Some(model) = model {
            @let known = &model.description.provenance;
            h3 { "What the model file says of itself" }
            dl {
                @if let Some(program) = &known.program { dt { "made by" } dd { (foreign(program)) } }
                @if let Some(seed) = known.seed { dt { "seed" } dd { (seed) } }
                @if let Some(data) = &known.data_digest { dt { "learned from" } dd { "data " code { (foreign(data)) } } }
                @for (name, value) in &known.metrics { dt { (foreign(name)) } dd { (value) } }
            }
            @if let Some(recipe) = &known.recipe {
                details { summary { "Its recipe" } pre { (shown::text(&format!("{recipe:#}"))) } }
            }
        }
        details {
            summary { "Everything that decided the rows (run.json)" }
            pre { (shown::text(&short(&format!("{:#}", json(settings))))) }
        }
    }
}

/// Settings of many inputs are cut: `run.json` has them.
fn short(text: &str) -> String {
    const MOST: usize = 20_000;
    crate::limits::shortened(text, MOST).into_owned()
}

/// Rows a second between the times of the first and the last part.
fn speed(seen: &Seen, first: SystemTime, last: SystemTime) -> Option<String> {
    let between = last.duration_since(first).ok()?.as_secs_f64();
    let rows = seen.rows.checked_sub(seen.first_part)?;
    (seen.parts > 1 && between >= 1.0).then(|| {
        format!(
            "{} rows a second between the first part's time and the last's, pauses included",
            count((rows as f64 / between).round() as u64)
        )
    })
}

/// `2026-01-31 12:34:56 UTC` (Hinnant's civil calendar from days).
pub(super) fn time(at: SystemTime) -> String {
    let seconds = at.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
    let (days, of_day) = (seconds / 86_400, seconds % 86_400);
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        let at = |seconds| time(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(at(0), "1970-01-01 00:00:00 UTC");
        assert_eq!(at(951_782_399), "2000-02-28 23:59:59 UTC");
        assert_eq!(at(951_782_400), "2000-02-29 00:00:00 UTC");
        assert_eq!(at(1_709_251_200), "2024-03-01 00:00:00 UTC");
        assert_eq!(at(4_102_444_799), "2099-12-31 23:59:59 UTC");
    }
}
