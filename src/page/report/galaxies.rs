//! The galaxies that a page shows: their rows, with all columns, and their pictures.
//!
//! Memory: all of them, as the page has them: some 8 kB each.

use std::collections::HashMap;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float32Type, Float64Type};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use maud::{Markup, html};

use super::heat::HeatMap;
use super::html::{data_url, foreign};
use crate::catalog::{rows_at, schema};
use crate::cutout::RgbImage;
use crate::page::pictures::Pictures;
use crate::page::{PageError, raster};
use crate::run::RunFolder;
use crate::storage::shown;

/// Side of a picture in pixels: it is shown at some 130, and screens may be fine.
const SIDE: usize = 160;

/// Quality of its JPEG: 6 kB.
const QUALITY: u8 = 82;

/// Rows that are shown, each once.
pub(super) struct Galaxies {
    /// Places among the run's rows, which rise.
    places: Vec<u64>,
    rows: RecordBatch,
    pictures: HashMap<u64, Result<String, String>>,
}

impl Galaxies {
    /// Those at `places` of the run, which may come in any order and twice; those of
    /// `pictured` with pictures.
    pub(super) fn of(
        run: &RunFolder,
        mut places: Vec<u64>,
        mut pictured: Vec<u64>,
    ) -> Result<Self, PageError> {
        places.extend(&pictured);
        for list in [&mut places, &mut pictured] {
            list.sort_unstable();
            list.dedup();
        }
        let schema = schema::of(run)?;
        // A vector of a thousand numbers is nothing to read.
        let is_read = |kind: &DataType| !kind.is_nested();
        let columns = schema.fields().iter().enumerate();
        let columns: Vec<usize> =
            columns.filter(|(_, field)| is_read(field.data_type())).map(|(at, _)| at).collect();
        let rows = rows_at(run, &places, Some(&columns))?;
        let mut pictures = HashMap::with_capacity(pictured.len());
        Pictures::of(run).each(&pictured, &mut |at, picture| {
            let picture = match picture {
                Ok(picture) => Ok(thumbnail(&picture)?),
                Err(why) => Err(why),
            };
            pictures.insert(pictured[at], picture);
            Ok(())
        })?;
        Ok(Self { places, rows, pictures })
    }

    /// Pictures, and rows without one that were to have one.
    pub(super) fn counts(&self) -> (u64, u64) {
        let there = self.pictures.values().filter(|picture| picture.is_ok()).count();
        (there as u64, (self.pictures.len() - there) as u64)
    }

    /// The picture of a row with its caption, a link to the row; `maps` beside it.
    pub(super) fn figure(&self, place: u64, truth: Option<&str>, maps: &[HeatMap]) -> Markup {
        let Ok(row) = self.places.binary_search(&place) else { return html! {} };
        let id = self.text(row, "id");
        html! {
            figure {
                a href=(format!("#row-{place}")) title=(shown::line(&id)) {
                    @match self.pictures.get(&place) {
                        Some(Ok(url)) => { img src=(url) alt=(shown::line(&id)) width="160" height="160" decoding="async"; }
                        Some(Err(why)) => { span class="empty" { (foreign(why)) } }
                        None => {}
                    }
                }
                @for HeatMap { answer, picture } in maps {
                    @let what = format!("what speaks for {}", shown::line(answer));
                    span class="heat" title=(what) {
                        @match picture {
                            Ok(url) => { img src=(url) alt=(what) width="160" height="160" decoding="async"; }
                            Err(why) => { span class="empty" { (foreign(why)) } }
                        }
                        span class="for" { "for " (foreign(answer)) }
                    }
                }
                figcaption {
                    @if let Some(truth) = truth { (foreign(truth)) " → " }
                    b { (foreign(&self.text(row, "label"))) }
                    " " (self.number(row, "confidence", 3))
                    @if self.rows.column_by_name("oddness").is_some() {
                        " " span class="soft odd" { "odd " (self.number(row, "oddness", 1)) }
                    }
                    br; span class="soft id" { (foreign(&id)) }
                }
            }
        }
    }

    fn text(&self, row: usize, name: &str) -> String {
        let column = self.rows.column_by_name(name).and_then(|c| c.as_string_opt::<i32>());
        column.map_or_else(String::new, |column| column.value(row).to_owned())
    }

    fn number(&self, row: usize, name: &str, decimals: usize) -> String {
        let column = self.rows.column_by_name(name);
        let column = column.and_then(|column| column.as_primitive_opt::<Float32Type>());
        let value = column.filter(|column| column.is_valid(row)).map(|column| column.value(row));
        value.map_or_else(String::new, |value| format!("{value:.decimals$}"))
    }

    /// The id and what is said of a row.
    pub(super) fn example(&self, place: u64) -> (String, String) {
        match self.places.binary_search(&place) {
            Ok(row) => (self.text(row, "id"), self.text(row, "error")),
            Err(_) => Default::default(),
        }
    }

    /// All rows with all their columns, as a table.
    pub(super) fn table(&self) -> Markup {
        let schema = self.rows.schema();
        let is_number = |kind: &DataType| kind.is_numeric();
        html! {
            div class="scroll" {
                table class="rows" id="all-rows" {
                    thead {
                        tr {
                            th class="number" { "row" }
                            @for field in schema.fields() {
                                th class=(if is_number(field.data_type()) { "number" } else { "" })
                                    title=(shown::line(field.metadata().get("description").map_or("", String::as_str))) {
                                    (foreign(field.name()))
                                }
                            }
                        }
                    }
                    tbody {
                        @for (row, place) in self.places.iter().enumerate() {
                            tr id=(format!("row-{place}")) {
                                td class="number" { (place) }
                                @for column in self.rows.columns() {
                                    td class=(if is_number(column.data_type()) { "number" } else { "" }) {
                                        (foreign(&cell(column, row)))
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A picture as small as it is shown, as the address of an image.
pub(super) fn thumbnail(picture: &RgbImage) -> Result<String, PageError> {
    let bytes = raster::jpeg(&raster::fitted(picture, SIDE), QUALITY)?;
    Ok(data_url("image/jpeg", &bytes))
}

/// A value with the fewest digits that read back as the same number.
fn cell(column: &dyn Array, row: usize) -> String {
    match column.data_type() {
        _ if column.is_null(row) => String::new(),
        DataType::Float32 => column.as_primitive::<Float32Type>().value(row).to_string(),
        DataType::Float64 => column.as_primitive::<Float64Type>().value(row).to_string(),
        DataType::Utf8 => column.as_string::<i32>().value(row).to_owned(),
        _ => {
            let shown = ArrayFormatter::try_new(column, &FormatOptions::default());
            shown
                .map_or(String::new(), |shown| shown.value(row).try_to_string().unwrap_or_default())
        }
    }
}
