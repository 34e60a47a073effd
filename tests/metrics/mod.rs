//! Metrics against scikit-learn, on labels drawn at random.

use std::fs;

use hiwl::metrics::{Calibration, ClassificationReport, Confusion, average_precision};
use hiwl::random::Stream;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::util::python::oracle;

fn close(found: f64, expected: &Value, what: &str) {
    let expected = expected.as_f64().unwrap_or_else(|| panic!("{what}: {expected}"));
    assert!((found - expected).abs() < 1e-12, "{what}: {found}, scikit-learn {expected}");
}

/// Compares all metrics of `number` classes of which the last `absent` have
/// no examples and the first `unseen` are never predicted.
fn compare(seed: u64, number: usize, absent: usize, unseen: usize, count: usize) {
    let mut stream = Stream::new("metrics test", seed, &[]);
    let (mut truth, mut predicted, mut confidence) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..count {
        let own = stream.below(number - absent);
        let right = stream.chance(0.7) && own >= unseen;
        truth.push(own);
        predicted.push(if right { own } else { unseen + stream.below(number - unseen) });
        confidence.push(stream.uniform(0.2, 1.0));
    }
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("request.json");
    let request = json!({
        "labels": number, "truth": truth, "predicted": predicted, "confidence": confidence,
    });
    fs::write(&path, request.to_string()).unwrap();
    let theirs: Value =
        serde_json::from_str(&oracle("metrics_sklearn.py", &[path.to_str().unwrap()])).unwrap();

    let names: Vec<String> = (0..number).map(|i| i.to_string()).collect();
    let mut matrix = Confusion::new(&names);
    let mut calibration = Calibration::new();
    for ((&t, &p), &c) in truth.iter().zip(&predicted).zip(&confidence) {
        matrix.add(t, p);
        calibration.add(c, t == p);
    }
    let ours = ClassificationReport::new(&matrix, Some(&calibration));
    close(ours.accuracy, &theirs["accuracy"], "accuracy");
    close(ours.macro_average.recall, &theirs["macro_recall"], "macro recall");
    close(ours.macro_average.precision, &theirs["macro_precision"], "macro precision");
    close(ours.macro_average.f1, &theirs["macro_f1"], "macro F1");
    close(ours.expected_calibration_error.unwrap(), &theirs["error"], "calibration error");
    assert_eq!(json!(ours.confusion), theirs["confusion"]);
    for (i, class) in ours.classes.iter().enumerate() {
        close(class.recall, &theirs["recall"][i], "recall");
        close(class.precision, &theirs["precision"][i], "precision");
        close(class.f1, &theirs["f1"][i], "F1");
        assert_eq!(json!(class.support), theirs["support"][i]);
        for (j, part) in ours.confusion_fractions[i].iter().enumerate() {
            close(*part, &theirs["fractions"][i][j], "fraction");
        }
    }
}

/// Of scores that say something, with ties, of one galaxy that is, and of nearly all.
#[test]
fn average_precision_is_scikit_learns() {
    let mut stream = Stream::new("average precision test", 1, &[]);
    let mut cases = Vec::new();
    for (count, share, steps) in
        [(500, 0.3, 1e9), (500, 0.3, 8.0), (40, 0.9, 4.0), (1000, 0.01, 1e9), (3, 0.5, 2.0)]
    {
        let mut is: Vec<bool> = (0..count).map(|_| stream.chance(share)).collect();
        is[0] = true;
        let scores: Vec<f64> = is
            .iter()
            .map(|&is| {
                let score: f64 = stream.unit() + if is { 0.3 } else { 0.0 };
                (score * steps).round() / steps
            })
            .collect();
        cases.push((scores, is));
    }
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("cases.json");
    let request: Vec<Value> =
        cases.iter().map(|(scores, is)| json!({ "scores": scores, "is": is })).collect();
    fs::write(&path, json!(request).to_string()).unwrap();
    let theirs: Vec<Value> =
        serde_json::from_str(&oracle("average_precision.py", &[path.to_str().unwrap()])).unwrap();
    assert_eq!(theirs.len(), cases.len());
    for ((scores, is), theirs) in cases.into_iter().zip(&theirs) {
        close(average_precision(scores.into_iter().zip(is)).unwrap(), theirs, "average precision");
    }
}

#[test]
fn metrics_are_scikit_learns() {
    compare(1, 5, 0, 0, 3000);
    compare(2, 2, 0, 0, 7);
    compare(3, 4, 1, 1, 100);
    compare(4, 5, 2, 2, 40);
}
