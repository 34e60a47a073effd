//! The curves' SVG, parsed by an XML parser that is not ours.

use hiwl::train::curves;
use hiwl::train::history::Epoch;
use tempfile::TempDir;

use crate::util::python::oracle;

#[test]
fn the_curves_are_well_formed_xml() {
    let epoch = |model: &str, number: u32| Epoch {
        model: model.into(),
        epoch: number,
        size: 240,
        learning_rate: 0.005,
        train_loss: 1.0 / f64::from(number),
        train_accuracy: 0.9,
        val_loss: if number == 5 { f64::NAN } else { 1.2 / f64::from(number) },
        val_accuracy: 0.91,
        images_per_s: 10.0,
        seconds: 1.0,
        recall: Vec::new(),
    };
    let epochs: Vec<Epoch> =
        (1..=9).flat_map(|i| [epoch("stage1", i), epoch("stage2 <\"&'> \u{7}", i)]).collect();
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("curves.svg");
    std::fs::write(&path, curves::svg(&epochs)).unwrap();
    let elements = oracle("svg_elements.py", &[path.to_str().unwrap()]);
    // Two models, train and validation, two panels; a gap in each of the two
    // losses on validation makes two lines of one.
    assert!(elements.contains("polyline 10\n"), "{elements}");
    assert!(elements.contains("text stage2 <\"&'> \\u{7}, validation\n"), "{elements}");
}
