//! The queries that a node begins with, unless it has others.

/// Names and texts.
pub(crate) const STARTING_SET: [(&str, &str); 16] = [
    ("asymmetric_pairs", include_str!("../../../configs/queries/asymmetric_pairs.sql")),
    ("dns_volume", include_str!("../../../configs/queries/dns_volume.sql")),
    ("elephant_flows", include_str!("../../../configs/queries/elephant_flows.sql")),
    ("exporters", include_str!("../../../configs/queries/exporters.sql")),
    ("interface_load", include_str!("../../../configs/queries/interface_load.sql")),
    ("losses", include_str!("../../../configs/queries/losses.sql")),
    ("new_destinations", include_str!("../../../configs/queries/new_destinations.sql")),
    ("packet_sizes", include_str!("../../../configs/queries/packet_sizes.sql")),
    ("port_sweep", include_str!("../../../configs/queries/port_sweep.sql")),
    ("protocols", include_str!("../../../configs/queries/protocols.sql")),
    ("services", include_str!("../../../configs/queries/services.sql")),
    ("syn_flood", include_str!("../../../configs/queries/syn_flood.sql")),
    ("top_destinations", include_str!("../../../configs/queries/top_destinations.sql")),
    ("top_pairs", include_str!("../../../configs/queries/top_pairs.sql")),
    ("top_talkers", include_str!("../../../configs/queries/top_talkers.sql")),
    ("traffic_matrix", include_str!("../../../configs/queries/traffic_matrix.sql")),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;
    use tapline_catalog::QueryFolder;

    #[test]
    fn it_is_what_the_folder_has() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs/queries");
        let found = QueryFolder::open(&folder).unwrap().load().unwrap();
        let names: Vec<String> = found.iter().map(|query| query.as_ref().unwrap().name.clone()).collect();
        assert_eq!(names, STARTING_SET.map(|(name, _)| name));
        assert!(found.iter().all(|query| !query.as_ref().unwrap().options.note.is_empty()));
    }
}
