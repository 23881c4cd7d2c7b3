//! Signing what is there: a commit that holds nothing but its signed note.

use super::Db;
use crate::Result;
use crate::sign::Signer;
use crate::store::Edit;
use rvf_format::payload::witness::Operation;
use std::sync::Arc;

impl Db {
    /// Signs the newest state, by a commit that adds the signed note and its audit entry, nothing else. Where the newest commit is signed by this
    /// signer already, nothing is done. Returns the epoch that is signed.
    ///
    /// ```
    /// # use rvf_engine::*;
    /// # use std::sync::Arc;
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("a.rvf");
    /// let mut db = Db::create(&path, &Schema::new(2, Metric::L2))?;
    /// db.add(&[1.0f32, 2.0])?;
    /// let key = SecretKey::generate()?;
    /// let public = key.public().clone();
    /// assert_eq!(db.sign(Arc::new(key))?, 3);
    /// let notes = db.snapshot().notes()?;
    /// assert_eq!((notes.len(), notes[0].statement().epoch), (1, 3));
    /// assert_eq!(public.verify(&notes[0]), Ok(()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of a commit; [`crate::Error::SigningFailed`].
    pub fn sign(&mut self, signer: Arc<dyn Signer>) -> Result<u64> {
        let snapshot = self.store.snapshot().clone();
        let name = format!("rvf-{}", signer.key_id());
        let newest = snapshot.notes()?.pop().filter(|note| note.statement().epoch == snapshot.epoch());
        if newest.is_some_and(|note| note.signatures().iter().all(|line| line.name == name)) {
            return Ok(snapshot.epoch());
        }
        let before = self.store.context.signer.replace(signer);
        let signed = self.store.commit(&Edit::new(Operation::SIGN));
        self.store.context.signer = before;
        Ok(signed?.epoch())
    }
}
