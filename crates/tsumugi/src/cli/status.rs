//! `tsumugi status`: the documents of a machine's three processes, on one page.

use super::{Failure, Outcome, print};
use crate::observe::{page, serve};
use serde_json::{Map, Value};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;
use tsumugi_plan::explain::Lang;

/// How long a process may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// Fails if one of the processes does not answer; the others are shown all the same.
pub fn run(state: &Path, json: bool, lang: Lang) -> Outcome {
    if !state.is_dir() {
        return Err(Failure::Said(format!("{} is no state directory", state.display())));
    }
    let mut all_answer = true;
    let mut documents = Map::new();
    for process in ["router", "datapath", "management"] {
        let path = state.join(format!("{process}.sock"));
        let answer = serve::ask(&path, PATIENCE).map_err(|error| error.to_string());
        let document = answer.and_then(|text| serde_json::from_str(&text).map_err(|error| error.to_string()));
        all_answer &= document.is_ok();
        if json {
            let document = document.unwrap_or_else(|error| serde_json::json!({ "error": error }));
            documents.insert(process.into(), document);
        } else {
            print(&section(process, document, lang))?;
        }
    }
    if json {
        print(&format!("{}\n", Value::Object(documents)))?;
    }
    Ok(if all_answer { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn section(process: &str, document: Result<Value, String>, lang: Lang) -> String {
    match document {
        Err(error) => {
            let silent = lang.pick("does not answer", "応答しません");
            format!("{process}: {silent} ({error})\n")
        }
        Ok(document) => page::page(process, &document, lang),
    }
}
