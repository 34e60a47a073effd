//! The language, held against what its sentences say in plain Rust.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, Date32Array, Float32Array, Float64Array, Int64Array,
    StringArray, UInt16Array,
};

use super::*;

/// Rows with every kind of value there is.
fn rows() -> RecordBatch {
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("label", Arc::new(StringArray::from(vec!["SPI", "EO", "", "it's"]))),
        ("p_spi", Arc::new(Float32Array::from(vec![Some(0.9), Some(0.8), None, Some(f32::NAN)]))),
        ("z", Arc::new(Float64Array::from(vec![Some(-0.0), Some(0.5), None, Some(2.0)]))),
        (
            "n",
            Arc::new(Int64Array::from(vec![
                Some(1_237_668_296_598_749_301),
                None,
                Some(-2),
                Some(3),
            ])),
        ),
        ("small", Arc::new(UInt16Array::from(vec![1, 2, 3, 4]))),
        ("stage2", Arc::new(BooleanArray::from(vec![Some(true), Some(false), None, Some(false)]))),
        ("day", Arc::new(Date32Array::from(vec![0, 1, 2, 3]))),
        ("r mag", Arc::new(Float64Array::from(vec![17.0, 18.0, 19.0, 20.0]))),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, c)| (n, c, true)))
        .unwrap()
}

/// The rows for which a condition is true.
fn picked(text: &str) -> Vec<usize> {
    let batch = rows();
    let filter = Filter::parse(text, batch.schema_ref()).unwrap_or_else(|e| panic!("{e}"));
    let wanted = filter.wanted(&batch, |place| place).unwrap();
    assert_eq!(wanted.len(), batch.num_rows(), "{text}");
    (0..wanted.len()).filter(|&row| wanted.is_valid(row) && wanted.value(row)).collect()
}

#[test]
fn conditions_pick_the_rows_that_they_say() {
    for (text, expected) in [
        ("p_spi > 0.8", &[0][..]),
        ("p_spi >= 0.8", &[0, 1]),
        ("0.8 < p_spi", &[0]),
        ("P_SPI > .5", &[0, 1]),
        ("p_spi is null", &[2, 3]),
        ("p_spi is not null", &[0, 1]),
        ("not p_spi > 0.8", &[1]),
        ("p_spi != 0.8", &[0]),
        ("label = 'SPI'", &[0]),
        ("label == 'it''s'", &[3]),
        ("label <> 'SPI' and label != ''", &[1, 3]),
        ("label in ('SPI', 'EO')", &[0, 1]),
        ("label not in ('SPI', 'EO')", &[2, 3]),
        ("label > 'EO'", &[0, 3]),
        ("z = 0", &[0]),
        ("z < 0", &[]),
        ("z between 0 and 0.5", &[0, 1]),
        ("z not between 0 and 0.5", &[3]),
        ("n = 1237668296598749301", &[0]),
        ("n = 1237668296598749300", &[]),
        ("n = 1237668296598749301.0", &[0]),
        ("n = 1237668296598749300.0", &[]),
        ("n < 2.5", &[2]),
        ("small >= 3", &[2, 3]),
        ("small > -1e0", &[0, 1, 2, 3]),
        ("small = n", &[]),
        ("small > z", &[0, 1, 3]),
        ("stage2", &[0]),
        ("not stage2", &[1, 3]),
        ("stage2 = false", &[1, 3]),
        ("true", &[0, 1, 2, 3]),
        ("false or label = 'EO'", &[1]),
        ("day >= '1970-01-03'", &[2, 3]),
        ("\"r mag\" < 18.5", &[0, 1]),
        ("p_spi > 0.85 or z > 1 and small = 4", &[0, 3]),
        ("(p_spi > 0.85 or z > 1) and small = 4", &[3]),
        ("p_spi > 0.85 OR stage2 IS NULL", &[0, 2]),
    ] {
        assert_eq!(picked(text), expected, "{text}");
    }
}

#[test]
fn only_the_columns_that_are_named_are_looked_at() {
    let filter =
        Filter::parse("z > 1 or (label = 'x' and z is null)", rows().schema_ref()).unwrap();
    assert_eq!(filter.columns(), [0, 2]);
    assert_eq!(Filter::parse("true", rows().schema_ref()).unwrap().columns(), [] as [usize; 0]);
}

#[test]
fn a_mistake_is_named_with_its_place() {
    for (text, position, words) in [
        ("", 0, "the end where a column"),
        ("p_spi", 5, "comparison of column `p_spi`"),
        ("p_spii > 0.8", 0, "no column `p_spii`"),
        ("z > 1 and q = 2", 10, "no column `q`"),
        ("z > 'x'", 0, "column `z` is a number and not text"),
        ("label > 1", 0, "column `label` is text and not a number"),
        ("stage2 < true", 0, "truth values"),
        ("z > 1x", 4, "`1x` is no number"),
        ("z >", 3, "the end where a column"),
        ("z > 1 )", 6, "`)` where the condition should end"),
        ("(z > 1", 6, "`)` is due"),
        ("z > 1 z", 6, "`z` where the condition should end"),
        ("label = 'SPI", 8, "does not end"),
        ("é = 1", 0, "no column `é`"),
        ("label = 'é' and z ~ 1", 18, "`~` means nothing"),
        ("1 < 2", 0, "no column"),
        ("z = null", 4, "is null"),
        ("z in ()", 6, "a column or a value is due"),
        ("z is 1", 5, "`null` is due"),
        ("z not 1", 6, "`in` or `between`"),
        ("day > 'tomorrow'", 6, "no date"),
        ("label = z", 8, "column `z` is a number"),
        ("n > inf", 4, "no column `inf`"),
    ] {
        let error = Filter::parse(text, rows().schema_ref()).unwrap_err();
        assert!(error.message.contains(words), "{text}: {error}");
        assert_eq!(error.position, position, "{text}: {error}");
    }
    let deep = format!("{}z > 1{}", "(".repeat(5000), ")".repeat(5000));
    let error = Filter::parse(&deep, rows().schema_ref()).unwrap_err();
    assert!(error.message.contains("levels"), "{}", error.message);
    let shown = Filter::parse("z > 1 and q = 2", rows().schema_ref()).unwrap_err().to_string();
    assert!(shown.ends_with("  z > 1 and q = 2\n            ^"), "{shown}");
}
