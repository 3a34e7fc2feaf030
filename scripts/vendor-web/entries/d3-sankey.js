export { sankey, sankeyJustify, sankeyLeft, sankeyLinkHorizontal } from "d3-sankey";
