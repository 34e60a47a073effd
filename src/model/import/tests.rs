//! Checkpoints of every kind that PyTorch writes, and damaged ones.

use super::*;

fn checkpoint(name: &str) -> Vec<(String, Tensor)> {
    let path = format!("{}/fixtures/golden/checkpoints/{name}", env!("CARGO_MANIFEST_DIR"));
    let mut tensors = pth::tensors(&std::fs::read(path).unwrap()).unwrap();
    tensors.sort_by(|a, b| a.0.cmp(&b.0));
    tensors
}

/// `value` of `tests/oracles/checkpoints.py`.
fn value(name: &str, shape: &[usize]) -> Tensor {
    let parameter = Parameter { name: name.into(), shape: shape.to_vec() };
    seeded::tensor(&parameter, 7, "").unwrap()
}

fn equal(a: &Tensor, b: &Tensor, tolerance: f32) {
    assert_eq!(a.dims(), b.dims());
    let worst = (a - b).unwrap().abs().unwrap().max_all().unwrap();
    assert!(worst.to_scalar::<f32>().unwrap() <= tolerance);
}

#[test]
fn checkpoints_hold_what_pytorch_put_there() {
    let found = checkpoint("contiguous.pth");
    let names: Vec<_> = found.iter().map(|(n, _)| n.as_str()).collect();
    assert_eq!(names, ["conv.weight", "fc.bias", "fc.weight"], "and no counter");
    equal(&found[0].1, &value("conv.weight", &[4, 3, 2, 2]), 0.0);
    equal(&found[1].1, &value("fc.bias", &[5]), 0.0);
    equal(&found[2].1, &value("fc.weight", &[5, 3]), 0.0);
}

#[test]
fn strides_offsets_and_wrappers_are_honoured() {
    let found = checkpoint("strided.pth");
    let tensor = |name: &str| &found.iter().find(|(n, _)| n == name).unwrap().1;
    let (conv, matrix) = (value("conv.weight", &[4, 3, 2, 2]), value("fc.weight", &[5, 3]));
    let bias = value("fc.bias", &[5]);
    equal(tensor("conv.weight"), &conv, 0.0);
    equal(tensor("conv.permuted"), &conv, 0.0);
    equal(tensor("fc.weight"), &matrix, 0.0);
    equal(tensor("fc.offset"), &matrix, 0.0);
    equal(tensor("fc.parameter"), &matrix, 0.0);
    equal(tensor("fc.bias"), &bias, 0.0);
    let first = bias.narrow(0, 0, 1).unwrap().broadcast_as((4, 2)).unwrap();
    equal(tensor("fc.expanded"), &first.contiguous().unwrap(), 0.0);
}

#[test]
fn weights_are_found_among_other_things_and_unwrapped() {
    let found = checkpoint("nested.pth");
    let names: Vec<_> = found.iter().map(|(n, _)| unwrapped(n)).collect();
    assert_eq!(names, ["conv.weight", "fc.bias", "fc.weight"]);
    equal(&found[0].1, &value("conv.weight", &[4, 3, 2, 2]), 0.0);
    assert_eq!(unwrapped("module._orig_mod.module.x"), "x");
    assert_eq!(unwrapped("modules.x"), "modules.x");
}

#[test]
fn every_floating_point_type_is_read_and_no_other() {
    let found = checkpoint("kinds.pth");
    let names: Vec<_> = found.iter().map(|(n, _)| n.as_str()).collect();
    assert_eq!(names, ["bfloat", "double", "half"]);
    let conv = value("conv.weight", &[4, 3, 2, 2]);
    equal(&found[0].1, &conv, 0.01);
    equal(&found[1].1, &conv, 0.0);
    equal(&found[2].1, &conv, 0.001);
}

/// Every cut, and every byte changed: any answer will do, but there must
/// be one.
#[test]
fn damaged_checkpoints_are_errors_and_never_panics() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/golden/checkpoints/strided.pth");
    let bytes = std::fs::read(path).unwrap();
    for length in 0..bytes.len() {
        assert!(pth::tensors(&bytes[..length]).is_err(), "cut at {length}");
    }
    let mut failures = 0;
    for at in 0..bytes.len() {
        for flip in [0x01, 0xFF] {
            let mut damaged = bytes.clone();
            damaged[at] ^= flip;
            failures += usize::from(pth::tensors(&damaged).is_err());
        }
    }
    assert!(failures > bytes.len(), "{failures}: the archive's checksums must be looked at");
}
