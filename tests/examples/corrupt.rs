//! Writes the broken files, one a clause, to `fixtures/corrupt`.

use rvf_format::Clause;

fn main() -> std::io::Result<()> {
    let folder = rvf_tests::fixtures().join("corrupt");
    std::fs::create_dir_all(&folder)?;
    for clause in Clause::ALL {
        let bytes = rvf_tests::corrupt::fixture(*clause);
        std::fs::write(folder.join(format!("{clause}.rvf")), &bytes)?;
        println!("{clause} {} bytes", bytes.len());
    }
    Ok(())
}
