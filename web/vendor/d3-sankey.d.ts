export const sankey: any;
export const sankeyLinkHorizontal: any;
