//! Equal schemas as the same one: readers ask for each record whether it is of the schema in force,
//! and comparing two addresses answers that.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::TableSchema;

/// So many schemas are known at most; what is beyond is only not told to be the same.
const MOST_SCHEMAS: usize = 256;

/// The schemas in use, each once, so that equal ones are the same. What nothing uses any more is
/// forgotten: whoever writes to a topic may send as many as they like.
#[derive(Debug, Clone, Default)]
pub struct Schemas(Arc<Mutex<Vec<Weak<TableSchema>>>>);

impl Schemas {
    /// How many of them are in use.
    #[cfg(test)]
    pub fn in_use(&self) -> usize {
        let known = self.0.lock().unwrap();
        known.iter().filter(|known| known.strong_count() > 0).count()
    }

    /// The schema in use that equals this one, or this one.
    pub fn shared(&self, schema: TableSchema) -> Arc<TableSchema> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut same = None;
        known.retain(|known| match known.upgrade() {
            Some(known) if same.is_none() && *known == schema => {
                same = Some(known);
                true
            }
            known => known.is_some(),
        });
        same.unwrap_or_else(|| {
            let schema = Arc::new(schema);
            if known.len() == MOST_SCHEMAS {
                known.remove(0);
            }
            known.push(Arc::downgrade(&schema));
            schema
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(table: String) -> TableSchema {
        TableSchema {
            table,
            columns: Vec::new(),
            strict: false,
            without_rowid: false,
            rowid_alias: false,
        }
    }

    #[test]
    fn schemas_are_the_same_while_they_are_used_and_forgotten_then() {
        let schemas = Schemas::default();
        let known = |schemas: &Schemas| schemas.0.lock().unwrap().len();
        let first = schemas.shared(schema("t".into()));
        for i in 0..10_000 {
            schemas.shared(schema(format!("t{i}")));
        }
        assert!(Arc::ptr_eq(&first, &schemas.shared(schema("t".into()))));
        assert_eq!(known(&schemas), 1);
        let used: Vec<_> = (0..2000).map(|i| schemas.shared(schema(format!("t{i}")))).collect();
        assert_eq!((used.len(), known(&schemas)), (2000, MOST_SCHEMAS));
    }
}
