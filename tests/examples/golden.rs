//! Writes the golden files and their truth to `fixtures/v1`. Run it only for a new version of the format: golden files of a
//! version that was released never change.

fn main() -> std::io::Result<()> {
    let folder = rvf_tests::fixtures().join("v1");
    std::fs::create_dir_all(&folder)?;
    for golden in rvf_tests::golden::all() {
        std::fs::write(folder.join(format!("{}.rvf", golden.name)), &golden.bytes)?;
        std::fs::write(folder.join(format!("{}.json", golden.name)), format!("{}\n", golden.truth))?;
        println!("{} {} bytes", golden.name, golden.bytes.len());
    }
    std::fs::write(folder.join("roaring.json"), format!("{}\n", rvf_tests::golden_sets::roaring_sets()))?;
    Ok(())
}
