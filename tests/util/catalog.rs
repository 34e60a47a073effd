//! Reading a catalog back, with Arrow alone and none of the program's code.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float32Type, Float64Type, Int64Type};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

/// The parts of a run, in order.
pub fn parts(run: &Path) -> Vec<PathBuf> {
    let Ok(folder) = fs::read_dir(run.join("catalog")) else { return Vec::new() };
    let mut parts: Vec<PathBuf> = folder
        .map(|entry| entry.unwrap().path())
        .filter(|path| !path.file_name().unwrap().to_str().unwrap().starts_with('.'))
        .collect();
    parts.sort();
    parts
}

/// Every batch of one Parquet file.
pub fn batches(path: &Path) -> Vec<RecordBatch> {
    let file = File::open(path).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    reader.map(Result::unwrap).collect()
}

/// The rows of a run in order, each as text: `column=value` joined by `|`.
/// Floating-point numbers are shown as their bits, so that equal means equal.
pub fn rows(run: &Path) -> Vec<String> {
    parts(run).iter().flat_map(|part| batches(part)).flat_map(|batch| texts(&batch)).collect()
}

fn texts(batch: &RecordBatch) -> Vec<String> {
    let schema = batch.schema();
    (0..batch.num_rows())
        .map(|row| {
            let cells: Vec<String> = schema
                .fields()
                .iter()
                .zip(batch.columns())
                .map(|(field, column)| format!("{}={}", field.name(), cell(column, row)))
                .collect();
            cells.join("|")
        })
        .collect()
}

fn cell(column: &dyn Array, row: usize) -> String {
    if column.is_null(row) {
        return "null".to_owned();
    }
    match column.data_type() {
        DataType::Utf8 => column.as_string::<i32>().value(row).to_owned(),
        DataType::Boolean => column.as_boolean().value(row).to_string(),
        DataType::Int64 => column.as_primitive::<Int64Type>().value(row).to_string(),
        DataType::Float32 => {
            format!("{:08x}", column.as_primitive::<Float32Type>().value(row).to_bits())
        }
        DataType::Float64 => {
            format!("{:016x}", column.as_primitive::<Float64Type>().value(row).to_bits())
        }
        DataType::FixedSizeList(..) => {
            let values =
                arrow::compute::cast(&column.as_fixed_size_list().value(row), &DataType::Float32)
                    .unwrap();
            let values = values.as_primitive::<Float32Type>().values().iter();
            values.map(|value| format!("{:08x}", value.to_bits())).collect::<Vec<_>>().join(" ")
        }
        other => panic!("a column of type {other} in the catalog"),
    }
}

/// The vectors of a run, row by row; `None` where a row has none.
pub fn vectors(run: &Path) -> Vec<Option<Vec<f32>>> {
    let of = |cell: String| {
        let bits = |word: &str| f32::from_bits(u32::from_str_radix(word, 16).unwrap());
        (cell != "null").then(|| cell.split(' ').map(bits).collect())
    };
    column(run, "feature").into_iter().map(of).collect()
}

/// The values of one text column over the whole run.
pub fn column(run: &Path, name: &str) -> Vec<String> {
    parts(run)
        .iter()
        .flat_map(|part| batches(part))
        .flat_map(|batch| {
            let column = batch.column_by_name(name).unwrap_or_else(|| panic!("no column {name}"));
            (0..batch.num_rows()).map(|row| cell(column, row)).collect::<Vec<_>>()
        })
        .collect()
}
