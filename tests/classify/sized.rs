//! Runs sized to the job: small ones in small parts, shards with nothing to do, and the
//! galaxies that come with the program.

use std::fs;
use std::os::unix::fs::symlink;

use crate::util::catalog::{column, parts};
use crate::util::command::{Workplace, assert_code, errors, simulate};

#[test]
fn a_small_run_keeps_what_it_has_done_and_shards_without_work_say_so() {
    let place = Workplace::new();
    simulate(&place.path("in"), 140, 5);
    place.expect(0, "classify in --output run --quiet");
    let names: Vec<String> = parts(&place.path("run"))
        .iter()
        .map(|part| part.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    let expected =
        ["part-000000000000-000000000127.parquet", "part-000000000128-000000000139.parquet"];
    assert_eq!(names, expected);
    let run: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(place.path("run/run.json")).unwrap()).unwrap();
    assert_eq!(run["settings"]["range_size"], 128);

    // What is lost is made again, and nothing else; all shards agree on the parts.
    let before = fs::metadata(place.path("run/catalog").join(expected[0])).unwrap();
    fs::remove_file(place.path("run/catalog").join(expected[1])).unwrap();
    let idle = place.expect(0, "classify in --output run --shard 2/4");
    let said = String::from_utf8(idle.stdout).unwrap();
    let words = "there is nothing for shard 2/4: the run has 2 ranges of 128 rows at most, for \
                 shards 0 to 1";
    assert!(said.contains(words), "{said}");
    assert_eq!(parts(&place.path("run")).len(), 1);
    place.expect(0, "classify in --output run --shard 1/4 --quiet");
    assert_eq!(parts(&place.path("run")).len(), 2);
    let after = fs::metadata(place.path("run/catalog").join(expected[0])).unwrap();
    assert_eq!(before.modified().unwrap(), after.modified().unwrap());

    // A size that is asked for is held against the run's, as ever.
    let refused = place.expect(64, "classify in --output run --range-size 16384 --quiet");
    assert!(errors(&refused).contains("rows per range: 128 → 16384"), "{}", errors(&refused));
    place.expect(0, "classify in --output other --range-size 50 --quiet");
    fs::remove_file(&parts(&place.path("other"))[1]).unwrap();
    place.expect(0, "classify in --output other --quiet");
    assert_eq!(parts(&place.path("other")).len(), 3);
    assert_eq!(column(&place.path("run"), "label"), column(&place.path("other"), "label"));
}

#[test]
fn labels_come_first_and_the_stages_under_verbose() {
    let place = Workplace::new();
    simulate(&place.path("in"), 1, 5);
    let said = |output: std::process::Output| String::from_utf8(output.stdout).unwrap();
    let plain = place.expect(0, "classify in --output run");
    // `labels.csv` lies beside the cutout.
    let told = errors(&plain);
    assert!(
        told.contains("passed over, for their names are not of cutouts: 1 .csv (in/labels.csv)")
    );
    let plain = said(plain);
    assert!(plain.starts_with("  CRS "), "{plain}");
    assert!(plain.contains("1 row in ") && !plain.contains("starved"), "{plain}");
    assert!(plain.contains("1 file was passed over"), "{plain}");
    let verbose = said(place.expect(0, "-v classify in --output again"));
    assert!(verbose.starts_with("  CRS ") && verbose.contains("starved"), "{verbose}");
}

/// `a.tar` of three galaxies, their labels in `made`, and a run over it, `plain`.
fn with_an_archive() -> Workplace {
    let place = Workplace::new();
    let made = place.run("simulate made --count 3 --size 240 --format tar --quiet");
    assert_code(&made, 0);
    let archive = fs::read_dir(place.path("made")).unwrap().map(|entry| entry.unwrap().path());
    let archive = archive.into_iter().find(|path| path.extension().is_some_and(|e| e == "tar"));
    fs::rename(archive.unwrap(), place.path("a.tar")).unwrap();
    place.expect(0, "classify a.tar --output plain --quiet");
    place
}

#[test]
fn a_table_is_joined_to_an_archive_by_its_ids() {
    let place = with_an_archive();
    let ids = column(&place.path("plain"), "id");
    let table =
        format!("objid,ra,dec,z\n{},11.5,-3,0.25\n{},12.5,4,0.5\nx,1,1,1\n", ids[2], ids[0]);
    fs::write(place.path("t.csv"), table).unwrap();

    let run = place.expect(0, "classify a.tar --join t.csv --carry z --output run");
    let told = errors(&run);
    let words = format!("1 of 3 cutouts has no row, such as {}; rows without a cutout: 1", ids[1]);
    assert!(told.contains(&words), "{told}");
    let bits = |values: [Option<f64>; 3]| {
        values.map(|v| v.map_or("null".into(), |v| format!("{:016x}", v.to_bits()))).to_vec()
    };
    assert_eq!(column(&place.path("run"), "ra"), bits([Some(12.5), None, Some(11.5)]));
    assert_eq!(column(&place.path("run"), "dec"), bits([Some(4.0), None, Some(-3.0)]));
    assert_eq!(column(&place.path("run"), "z"), bits([Some(0.5), None, Some(0.25)]));
    assert_eq!(column(&place.path("run"), "label"), column(&place.path("plain"), "label"));
    // It goes on with the same table, in shards of a plan too, and not without it.
    place.expect(0, "classify a.tar --join t.csv --carry z --output run --quiet");
    place.expect(64, "classify a.tar --output run --quiet");
    place.expect(0, "plan a.tar --join t.csv --carry z --output planned --shards 2 --quiet");
    fs::remove_file(place.path("t.csv")).unwrap();
    place.expect(0, "classify --plan planned --shard all --quiet");
    assert_eq!(column(&place.path("planned"), "z"), column(&place.path("run"), "z"));
    place.expect(0, "verify planned");
    let refused = place.expect(64, "classify a.tar --carry z --output none --quiet");
    assert!(errors(&refused).contains("--join TABLE"), "{}", errors(&refused));
}

/// Every command that reads images takes radii from a joined table, as from one that lists
/// the members.
#[test]
fn a_joined_table_is_for_every_command() {
    let place = with_an_archive();
    let sources = column(&place.path("plain"), "source");
    let (mut joined, mut listed) = ("id,r90\nx,1\n".to_owned(), "id,path,r90\n".to_owned());
    for (place, (id, source)) in column(&place.path("plain"), "id").iter().zip(&sources).enumerate()
    {
        joined.push_str(&format!("{id},{}\n", 12.0 - place as f64 / 2.0));
        listed.push_str(&format!("{id},{source},{}\n", 12.0 - place as f64 / 2.0));
    }
    fs::write(place.path("t.csv"), joined).unwrap();
    fs::write(place.path("m.csv"), listed).unwrap();
    let scaled = "--radius-column r90 --pixel-scale 0.25";
    let told = "t.csv: every cutout has a row; rows without a cutout: 1";
    let pictures = |folder: &str| {
        let mut found: Vec<_> = fs::read_dir(place.path(folder))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .map(|path| (path.file_name().unwrap().to_owned(), fs::read(&path).unwrap()))
            .collect();
        found.sort();
        found
    };
    place.expect(0, "look a.tar --output unscaled");
    for command in ["look", "explain"] {
        place.expect(0, &format!("{command} m.csv {scaled} --output {command}-m"));
        let line = format!("{command} a.tar --join t.csv {scaled} --output {command}-t");
        let output = place.expect(0, &line);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(said.contains(told), "{said}");
        let (listed, joined) =
            (pictures(&format!("{command}-m")), pictures(&format!("{command}-t")));
        assert_eq!(listed.len(), if command == "look" { 3 } else { 6 });
        assert_eq!(listed, joined, "{command}");
    }
    assert_ne!(pictures("unscaled"), pictures("look-t"), "radii had no effect");
    for (name, inputs) in [("m", "m.csv"), ("t", "a.tar --join t.csv")] {
        place.expect(
            0,
            &format!(
                "evaluate {inputs} {scaled} --labels made/labels.csv --predictions {name}-said.csv"
            ),
        );
    }
    let said = |name: &str| fs::read_to_string(place.path(&format!("{name}-said.csv"))).unwrap();
    assert_eq!(said("m").lines().count(), 4);
    assert_eq!(said("m"), said("t"));
    // Where the cutouts are sources of mosaics the table has all columns itself.
    let line = "look --sources m.csv --join t.csv --output none";
    let refused = place.expect(64, line);
    assert!(errors(&refused).contains("nothing is joined"), "{}", errors(&refused));
}

#[test]
fn a_newcomer_has_a_page_after_one_command() {
    let place = Workplace::new();
    let demo = place.expect(0, "demo");
    assert!(String::from_utf8(demo.stdout).unwrap().contains("open hiwl-demo/galaxies.html"));
    let page = fs::read_to_string(place.path("hiwl-demo/galaxies.html")).unwrap();
    for words in ["<html", "data:image", "101074"] {
        assert!(page.contains(words), "no {words}");
    }
    assert_eq!(column(&place.path("hiwl-demo/run"), "status"), ["ok"; 25]);
    fs::remove_file(place.path("hiwl-demo/galaxies.html")).unwrap();
    place.expect(0, "demo hiwl-demo");
    assert!(place.path("hiwl-demo/galaxies.html").exists());
    // Into a run only the run writes.
    place.expect(64, "demo hiwl-demo/run");
    // A picture that somebody has put there stays.
    fs::write(place.path("hiwl-demo/galaxies/101074.jpg"), "mine").unwrap();
    let refused = place.expect(64, "demo");
    assert!(errors(&refused).contains("101074.jpg is there"), "{}", errors(&refused));
    assert_eq!(fs::read(place.path("hiwl-demo/galaxies/101074.jpg")).unwrap(), b"mine");
}

#[test]
fn a_demo_writes_into_no_folder_of_others_and_through_no_link() {
    let place = Workplace::new();
    let (note, away) = (place.path("note"), place.path("away"));
    fs::write(&note, "mine").unwrap();
    fs::create_dir(&away).unwrap();
    let folders = ["full", "other", "galaxies-away", "picture-away"].map(|name| place.path(name));
    folders.iter().for_each(|folder| fs::create_dir(folder).unwrap());
    fs::write(folders[0].join("thesis.tex"), "mine").unwrap();
    fs::create_dir(folders[1].join("galaxies")).unwrap();
    fs::write(folders[1].join("galaxies/101074.jpg"), "mine").unwrap();
    symlink(&away, folders[2].join("galaxies")).unwrap();
    fs::create_dir(folders[3].join("galaxies")).unwrap();
    let labels = crate::util::fixture("galaxies/labels.csv");
    fs::copy(&labels, folders[3].join("galaxies/labels.csv")).unwrap();
    symlink(&note, folders[3].join("galaxies/101074.jpg")).unwrap();
    for folder in &folders {
        let count = || fs::read_dir(folder).unwrap().count();
        let before = count();
        let name = folder.file_name().unwrap().to_str().unwrap();
        let refused = place.expect(64, &format!("demo {name}"));
        assert!(errors(&refused).contains("name another folder"), "{}", errors(&refused));
        assert_eq!(count(), before, "{name}");
    }
    assert_eq!(fs::read(&note).unwrap(), b"mine");
    assert_eq!(fs::read_dir(&away).unwrap().count(), 0);
    assert_eq!(fs::read(folders[1].join("galaxies/101074.jpg")).unwrap(), b"mine");
    // An empty folder is as good as none.
    fs::create_dir(place.path("empty")).unwrap();
    place.expect(0, "demo empty");
}

#[test]
fn a_plan_prints_the_job_script_and_nothing_else_on_standard_output() {
    let place = Workplace::new();
    simulate(&place.path("in"), 3, 5);
    let plan = place.expect(0, "plan in --output night --shards 3 --for slurm");
    let script = String::from_utf8(plan.stdout.clone()).unwrap();
    assert!(script.starts_with("#!/usr/bin/env bash\n"), "{script}");
    let here = fs::canonicalize(place.folder()).unwrap();
    let named = [place.path("night"), here.join("night")];
    let named = named.map(|path| script.contains(&format!("planned='{}'", path.display())));
    assert!(named.contains(&true), "{script}");
    assert!(errors(&plan).contains("3 cutouts in 1 range for 3 shards"), "{}", errors(&plan));
    let refused = place.expect(64, "plan in --output night --shards 3 --for slrum");
    assert!(errors(&refused).contains("slurm"), "{}", errors(&refused));
}
