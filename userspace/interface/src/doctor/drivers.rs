//! What drivers can do with XDP, for kernels that do not say (before Linux 6.3).
//!
//! Takes the name of a driver, gives what those of Linux 5.18 could.

use crate::link::XdpFeatures;

/// Drivers whose interfaces write into the memory of `AF_XDP` themselves.
const ZERO_COPY: [&str; 6] = ["i40e", "ice", "igc", "ixgbe", "mlx5_core", "st_gmac"];
/// Other drivers that run programs which redirect.
const NATIVE: [&str; 17] = [
    "bnxt_en",
    "ena",
    "fsl_dpaa2_eth",
    "fsl_enetc",
    "hv_netvsc",
    "igb",
    "ixgbevf",
    "mlx4_en",
    "mvneta",
    "mvpp2",
    "nfp",
    "qede",
    "sfc",
    "tsnep",
    "tun",
    "veth",
    "virtio_net",
];

/// What a driver can do; `None` if it is not known.
pub(super) fn features(driver: &str) -> Option<XdpFeatures> {
    let zero_copy = ZERO_COPY.contains(&driver);
    (zero_copy || NATIVE.contains(&driver)).then(|| XdpFeatures {
        native: true,
        redirect: true,
        zero_copy,
        ..XdpFeatures::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_drivers_run_programs() {
        assert!(features("ice").is_some_and(|features| features.native && features.zero_copy));
        assert!(features("veth").is_some_and(|features| features.redirect && !features.zero_copy));
        assert_eq!(features("r8169"), None);
    }
}
