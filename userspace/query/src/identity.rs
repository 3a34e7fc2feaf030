//! Who a node is: what the columns say that every stream has of it.

use datafusion::common::ScalarValue;
use tapline_record::IdentityColumn;

/// Who a node is. It is the same in all rows that the node sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Its name: the column `sensor`.
    pub sensor: String,
    /// Where it stands: the column `site`, which is NULL where that is not said.
    pub site: Option<String>,
}

impl Identity {
    /// What a column of it says.
    pub(crate) fn value(&self, column: IdentityColumn) -> ScalarValue {
        match column {
            IdentityColumn::Sensor => ScalarValue::Utf8(Some(self.sensor.clone())),
            IdentityColumn::Site => ScalarValue::Utf8(self.site.clone()),
        }
    }
}
