//! Joins the directories of a study's shards.

use super::StudyError;
use super::dir::{StudyDir, StudyJson, file, read_json};
use super::outcome::{Finished, Status};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Joins parts of one study into a directory of its own, which may hold some of its runs already.
///
/// # Errors
/// Directories of different studies, damaged ones, two different results of one run.
pub fn merge(parts: &[PathBuf], out: &Path) -> Result<StudyDir, StudyError> {
    let mut opened: Vec<(PathBuf, StudyJson)> = Vec::new();
    for part in parts {
        let Some(json) = read_json(part)? else {
            return Err(StudyError::dir(part, "holds no study.json, so it is not the directory of a study"));
        };
        if let Some((first, other)) = opened.first()
            && other.digest != json.digest
        {
            let problem = format!("and `{}` hold different studies", first.display());
            return Err(StudyError::dir(part, problem));
        }
        if same_place(part, out) {
            return Err(StudyError::dir(
                part,
                "is where the parts are to go; name another directory with --out",
            ));
        }
        opened.push((part.clone(), json));
    }
    let Some((first, json)) = opened.first() else {
        return Err(StudyError::dir(out, "would be made of no parts; name them"));
    };
    let read = |name: &str| {
        let path = first.join(name);
        fs::read_to_string(&path).map_err(StudyError::io("read", &path))
    };
    let (copy, scenario) = (read(file::COPY)?, read(file::SCENARIO)?);
    let whole = StudyJson { shard: None, complete: false, ..json.clone() };
    let copies = [(file::COPY, copy.as_str()), (file::SCENARIO, scenario.as_str())];
    let mut merged = StudyDir::open(out, whole, &copies)?;
    let mut from: BTreeMap<u64, (Finished, PathBuf)> = BTreeMap::new();
    merged.each(|finished| {
        from.insert(finished.run, (finished.timeless(), out.to_owned()));
        Ok(())
    })?;
    for (path, json) in &opened {
        let part = StudyDir::open(path, json.clone(), &[])?;
        part.each(|finished| {
            let run = finished.run;
            match from.get(&run) {
                Some((known, _)) if *known == finished.timeless() => Ok(()),
                // One that failed says nothing about the run.
                Some(_) if finished.status == Status::Failed => Ok(()),
                Some((known, other)) if known.status != Status::Failed => {
                    let problem = format!(
                        "and `{}` hold different results of run {run}; they were not made by the same program",
                        other.display()
                    );
                    Err(StudyError::dir(path, problem))
                }
                _ => {
                    from.insert(run, (finished.timeless(), path.clone()));
                    merged.push(&finished)
                }
            }
        })?;
    }
    merged.write_tables()?;
    Ok(merged)
}

fn same_place(a: &Path, b: &Path) -> bool {
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}
