//! Runs that earlier versions of the program began, and that later ones did.

use std::collections::BTreeMap;
use std::fs;

use hiwl::catalog::{Damage, verify};
use parquet::file::reader::{FileReader, SerializedFileReader};

use super::*;

/// `run.json` as hiwl 0.1.0 wrote it for [`settings`] of ranges of 4 rows,
/// around the digest of its listing.
fn format_1(digest: &str) -> String {
    format!(
        r#"{{
  "listing": {{
    "digest": "{digest}",
    "problems": [],
    "rows": 10,
    "skipped": 0
  }},
  "settings": {{
    "band_pattern": null,
    "bands": [
      "i",
      "r",
      "g"
    ],
    "carry": [],
    "inputs": [
      "/data/galaxies"
    ],
    "model": {{
      "digest": "{model}",
      "name": "narrow",
      "untrained": true
    }},
    "precision": "f32",
    "preparation": {{
      "rgb": {{
        "name": "lupton",
        "stretch": 0.1
      }},
      "size": 240
    }},
    "range_size": 4,
    "stage2": "routed",
    "version": "0.1.0"
  }}
}}
"#,
        model = "ab".repeat(32)
    )
}

/// What the parts of a run say of themselves, by file name.
fn footers(run: &RunFolder) -> BTreeMap<String, BTreeMap<String, String>> {
    let parts = fs::read_dir(run.catalog()).unwrap().map(|entry| entry.unwrap().path());
    parts
        .map(|path| {
            let file = SerializedFileReader::new(fs::File::open(&path).unwrap()).unwrap();
            let pairs = file.metadata().file_metadata().key_value_metadata().unwrap().clone();
            let pairs = pairs.into_iter().map(|pair| (pair.key, pair.value.unwrap_or_default()));
            (path.file_name().unwrap().to_str().unwrap().to_owned(), pairs.collect())
        })
        .collect()
}

#[test]
fn a_run_of_the_first_format_goes_on_and_its_parts_say_what_they_said() {
    let folder = tempfile::tempdir().unwrap();
    // The listing of that run is that of this one.
    let digest = plan(folder.path(), 10, 4).manifest().listing.digest.clone();
    let text = format_1(&digest);
    fs::write(folder.path().join("run.json"), &text).unwrap();

    let run = plan(folder.path(), 10, 4);
    assert_eq!((run.manifest().format, run.manifest().program.as_str()), (1, "0.1.0"));
    write_missing(&run).unwrap();
    assert!(verify(folder.path()).unwrap().is_complete());
    assert_eq!(fs::read_to_string(folder.path().join("run.json")).unwrap(), text);
    for (name, pairs) in footers(&run) {
        assert_eq!(pairs["hiwl.version"], "0.1.0", "{name}");
        assert!(pairs["hiwl.settings"].ends_with(r#","version":"0.1.0"}"#), "{name}");
        assert!(!pairs.contains_key("hiwl.format"), "{name}");
        assert_eq!(pairs["hiwl.run"], run.digest());
    }

    // The same settings but one are another run, in whatever format.
    let error = RunFolder::open_or_create(folder.path(), &settings(5), &(), list(10)).unwrap_err();
    let RunError::OtherRun { differences, .. } = &error else { panic!("{error}") };
    assert_eq!(differences.len(), 1, "{error}");
}

#[test]
fn a_run_whose_parts_are_gone_with_their_folder_makes_them_anew() {
    let folder = tempfile::tempdir().unwrap();
    let before = contents(&complete(folder.path(), 10, 4).catalog());
    fs::remove_dir_all(folder.path().join("catalog")).unwrap();
    assert_eq!(verify(folder.path()).unwrap().missing.len(), 3);
    let run = plan(folder.path(), 10, 4);
    write_missing(&run).unwrap();
    assert_eq!(contents(&run.catalog()), before);
}

#[test]
fn a_run_of_a_later_format_is_refused_by_words_and_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let run = plan(folder.path(), 10, 4);
    let path = folder.path().join("run.json");
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains("\"format\": 2") && text.contains("\"program\": "), "{text}");
    let later = text.replace("\"format\": 2", "\"format\": 7, \"more\": []");
    fs::write(&path, &later).unwrap();
    let begun = RunFolder::open_or_create(folder.path(), &settings(4), &(), list(10));
    for error in [begun.map(drop), RunFolder::open(folder.path()).map(drop)] {
        let error = error.unwrap_err();
        assert!(error.is_usage() && error.to_string().contains("format 7"), "{error}");
    }
    assert!(verify(folder.path()).is_err());
    assert_eq!(fs::read_to_string(&path).unwrap(), later);
    drop(run);
}

#[test]
fn parts_say_their_format_and_one_of_a_later_is_not_taken_for_sound() {
    let folder = tempfile::tempdir().unwrap();
    let run = complete(folder.path(), 10, 4);
    assert!(footers(&run).values().all(|pairs| pairs["hiwl.format"] == "2"));

    // A later program wrote one of the parts, and sealed it.
    let name = footers(&run).into_keys().next().unwrap();
    let path = run.catalog().join(name);
    let mut bytes = fs::read(&path).unwrap();
    change_and_seal(&mut bytes, b"hiwl.format\x18\x012", b"hiwl.format\x18\x016");
    fs::write(&path, &bytes).unwrap();
    let found = verify(folder.path()).unwrap();
    let [part] = &found.damaged[..] else { panic!("{found:?}") };
    assert_eq!(part.damage, Damage::Format { found: "6".into(), known: 5 });
}

/// Puts `to` in place of `from`, which is as long and there once, and makes the
/// seal right again.
fn change_and_seal(bytes: &mut [u8], from: &[u8], to: &[u8]) {
    use sha2::{Digest, Sha256};
    let find = |bytes: &[u8], what: &[u8]| bytes.windows(what.len()).rposition(|it| it == what);
    let at = find(bytes, from).expect("it is there");
    bytes[at..at + to.len()].copy_from_slice(to);
    let key = b"hiwl.sha256\x18\x40";
    let seal = find(bytes, key).expect("a seal") + key.len();
    bytes[seal..seal + 64].fill(b'0');
    let digest = Sha256::digest(&*bytes);
    let digits: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    bytes[seal..seal + 64].copy_from_slice(digits.as_bytes());
}
