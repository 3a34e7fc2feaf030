export { sankey, sankeyLinkHorizontal } from "d3-sankey";
