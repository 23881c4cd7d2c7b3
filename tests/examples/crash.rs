//! Many seeds of the crash simulator, or one image or fault of it again. `--save FOLDER` writes the image to a folder.
//!
//! ```text
//! crash --images 10000000 [--seed FIRST]
//! crash --workload W --seed S [--killed K] --cut C --image I [--then-cut C --then-image I] [--save FOLDER]
//! crash --workload W --seed S --call N --fault F
//! ```

use rvf_tests::sim::crash::{At, Counts, Explorer, FEW, FULL};
use rvf_tests::sim::faults::{strike, strikes};
use rvf_tests::sim::workloads::{ALL, LARGE, Workload};
use std::collections::HashMap;
use std::process::ExitCode;

type Arguments = HashMap<String, String>;

fn number(arguments: &Arguments, name: &str) -> Result<Option<u64>, String> {
    let parse = |text: &String| text.parse().map_err(|_| format!("--{name} takes a number, not {text}"));
    arguments.get(name).map(parse).transpose()
}

fn arguments() -> Result<Arguments, String> {
    let mut found = Arguments::new();
    let mut given = std::env::args().skip(1);
    while let Some(flag) = given.next() {
        let name = flag.strip_prefix("--").ok_or_else(|| format!("{flag} is no flag"))?;
        found.insert(name.to_owned(), given.next().ok_or_else(|| format!("{flag} takes a value"))?);
    }
    Ok(found)
}

fn main() -> ExitCode {
    match arguments().and_then(|arguments| run(&arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), String> {
    let seed = number(arguments, "seed")?.unwrap_or(1);
    let Some(name) = arguments.get("workload") else {
        return many(number(arguments, "images")?.ok_or("give --images or --workload")?, seed);
    };
    let workload = Workload::named(name).ok_or_else(|| format!("no workload is called {name}"))?;
    let mut explorer = Explorer::new(workload, seed);
    match number(arguments, "call")? {
        Some(call) => one_fault(&mut explorer, call as usize, arguments.get("fault")),
        None => one_image(&mut explorer, arguments),
    }
}

/// Seed after seed until there were so many images.
fn many(wanted: u64, first_seed: u64) -> Result<(), String> {
    let (mut total, began) = (Counts::default(), std::time::Instant::now());
    for seed in first_seed.. {
        for workload in ALL.into_iter().filter(|workload| seed == first_seed || !LARGE.contains(&workload.name)) {
            let mut explorer = Explorer::new(workload, seed);
            explorer.power_failures(FULL).map_err(|failure| failure.to_string())?;
            if !LARGE.contains(&workload.name) {
                explorer.kills(FEW).map_err(|failure| failure.to_string())?;
            }
            total.add(&explorer.counts);
            let seconds = began.elapsed().as_secs();
            eprintln!(
                "seed {seed} {}: {} images, {} judged, {seconds} s",
                workload.name,
                total.total(),
                total.judged()
            );
            if total.total() >= wanted {
                println!(
                    "{} images, {} of them distinct and judged, all as promised: {total:?}",
                    total.total(),
                    total.judged()
                );
                return Ok(());
            }
        }
    }
    Ok(())
}

fn one_fault(explorer: &mut Explorer, call: usize, fault: Option<&String>) -> Result<(), String> {
    let wanted = |name: &String| fault.is_none_or(|fault| fault == name);
    for one in strikes(explorer) {
        if one.number == call && wanted(&format!("{:?}", one.fault)) {
            println!("{one:?}");
            strike(explorer, one)?;
        }
    }
    println!("as promised");
    Ok(())
}

fn one_image(explorer: &mut Explorer, arguments: &Arguments) -> Result<(), String> {
    let at = |cut: &str, image: &str| -> Result<Option<At>, String> {
        let cut = number(arguments, cut)?;
        Ok(cut.zip(number(arguments, image)?).map(|(cut, image)| At { cut: cut as usize, image }))
    };
    let killed = number(arguments, "killed")?.map(|killed| killed as usize);
    let outer = at("cut", "image")?.ok_or("give --cut and --image")?;
    let then = at("then-cut", "then-image")?;
    let (folder, verdict) = explorer.reproduce(killed, outer, then).ok_or("there is no such image")?;
    for (path, blob) in &folder.0 {
        println!("{} {} bytes", path.display(), blob.bytes.len());
        if let Some(save) = arguments.get("save") {
            let save = std::path::Path::new(save);
            let written = std::fs::create_dir_all(save).and_then(|()| std::fs::write(save.join(path), &blob.bytes));
            written.map_err(|error| format!("{}: {error}", save.display()))?;
        }
    }
    verdict?;
    println!("as promised");
    Ok(())
}
