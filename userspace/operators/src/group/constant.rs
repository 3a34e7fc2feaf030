//! Keys that are the same in all rows, such as the name of the node that sees them.
//!
//! They tell no groups apart, so no row is looked up by them: a table has the other keys only, and these are put back
//! when its keys are taken.

use datafusion::arrow::array::ArrayRef;
use datafusion::common::{Result, ScalarValue};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Literal;
use std::sync::Arc;

/// The places and the values of such keys.
#[derive(Clone, Debug)]
pub(crate) struct ConstantKeys(Vec<(usize, ScalarValue)>);

impl ConstantKeys {
    /// Those among these keys.
    pub(crate) fn among(keys: &[Arc<dyn PhysicalExpr>]) -> Self {
        let value = |key: &Arc<dyn PhysicalExpr>| Some(key.downcast_ref::<Literal>()?.value().clone());
        let constant = |(place, key)| Some((place, value(key)?));
        Self(keys.iter().enumerate().filter_map(constant).collect())
    }

    /// What there is of all keys, one each, for the others alone.
    pub(crate) fn others<T: Clone>(&self, of_all: &[T]) -> Vec<T> {
        let is_other = |place: usize| self.0.iter().all(|(constant, _)| *constant != place);
        let others = of_all.iter().enumerate().filter(|(place, _)| is_other(*place));
        others.map(|(_, of_one)| of_one.clone()).collect()
    }

    /// The columns of all keys of so many groups, of which these are those of the others.
    ///
    /// # Errors
    /// Only when Arrow has no array of such a value.
    pub(crate) fn put_back(&self, mut columns: Vec<ArrayRef>, groups: usize) -> Result<Vec<ArrayRef>> {
        for (place, value) in &self.0 {
            columns.insert(*place, value.to_array_of_size(groups)?);
        }
        Ok(columns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::arrow::array::{Array as _, AsArray as _, UInt16Array};
    use datafusion::physical_expr::expressions::{Column, lit};

    #[test]
    fn they_come_back_to_their_places() {
        let column = Arc::new(Column::new("dst_port", 0)) as Arc<dyn PhysicalExpr>;
        let site = Arc::new(Literal::new(ScalarValue::Utf8(None))) as Arc<dyn PhysicalExpr>;
        let keys = ConstantKeys::among(&[lit("pop-1"), column, site]);
        assert_eq!(keys.others(&["sensor", "dst_port", "site"]), ["dst_port"]);
        let ports: ArrayRef = Arc::new(UInt16Array::from(vec![53, 443]));
        let columns = keys.put_back(vec![Arc::clone(&ports)], 2).unwrap();
        let sensors: Vec<_> = columns[0].as_string::<i32>().iter().collect();
        assert_eq!(sensors, [Some("pop-1"); 2]);
        assert_eq!(&columns[1], &ports);
        assert_eq!((columns[2].len(), columns[2].null_count()), (2, 2));
    }
}
