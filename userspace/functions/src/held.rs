//! What the values of a column take.

use datafusion::arrow::array::{Array as _, ArrayRef, AsArray as _, make_array};
use datafusion::arrow::datatypes::DataType;
use datafusion::arrow::error::ArrowError;

/// Octets of the values of a column, as if each were written: texts that are only looked at, in the memory of others,
/// count, too.
///
/// # Errors
/// Where Arrow does not know it.
pub fn held_octets(column: &ArrayRef) -> Result<usize, ArrowError> {
    Ok(column.to_data().get_slice_memory_size()?.saturating_add(viewed_octets(column)))
}

fn viewed_octets(column: &ArrayRef) -> usize {
    match column.data_type() {
        DataType::Utf8View => lengths(column.as_string_view().views()),
        DataType::BinaryView => lengths(column.as_binary_view().views()),
        kind if kind.is_nested() => {
            let data = column.to_data();
            let parts = data.child_data().iter().map(|part| viewed_octets(&make_array(part.clone())));
            parts.fold(0, usize::saturating_add)
        }
        _ => 0,
    }
}

/// The lengths of texts, each of which is in the low bits of its view.
fn lengths(views: &[u128]) -> usize {
    let length = |view: &u128| usize::try_from(view & u128::from(u32::MAX)).unwrap_or(usize::MAX);
    views.iter().map(length).fold(0, usize::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::arrow::array::{Int32Array, ListArray, StringArray, StringViewArray};
    use datafusion::arrow::buffer::OffsetBuffer;
    use datafusion::arrow::datatypes::Field;
    use std::sync::Arc;

    #[test]
    fn texts_count_wherever_they_are() {
        let long = "a".repeat(1000);
        let texts = vec![Some(long.as_str()), None, Some("short")];
        let plain: ArrayRef = Arc::new(StringArray::from(texts.clone()));
        let viewed: ArrayRef = Arc::new(StringViewArray::from(texts));
        let numbers: ArrayRef = Arc::new(Int32Array::from(vec![1, 2, 3]));
        assert_eq!(held_octets(&numbers).unwrap(), 12);
        assert!((1005..1100).contains(&held_octets(&plain).unwrap()));
        assert!((1005..1100).contains(&held_octets(&viewed).unwrap()));
        let item = Arc::new(Field::new_list_field(DataType::Utf8View, true));
        let list: ArrayRef = Arc::new(ListArray::new(item, OffsetBuffer::from_lengths([1, 2]), viewed, None));
        assert!((1005..1200).contains(&held_octets(&list).unwrap()));
    }
}
