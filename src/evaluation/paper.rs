//! Figures of the paper (Salehinejad et al., ISBI 2021, Tables 2 and 3) that stand beside ours. Only what is known for certain is
//! here; what follows from it by arithmetic says so.

/// A row of the paper's tables, in percent.
pub(super) struct PaperRow {
    pub(super) set: &'static str,
    pub(super) cells: [Cell; 8],
    pub(super) note: &'static str,
}

/// A figure of the paper.
#[derive(Clone, Copy)]
pub(super) enum Cell {
    Printed(&'static str),
    /// Follows from printed figures.
    Computed(&'static str),
    /// Not quoted here.
    Missing,
}

impl Cell {
    pub(super) fn text(self) -> String {
        match self {
            Self::Printed(text) => text.to_owned(),
            Self::Computed(text) => format!("[{text}]"),
            Self::Missing => "\u{2013}".to_owned(),
        }
    }
}

use Cell::{Computed, Missing, Printed};

/// The columns of the paper's tables.
pub(super) const COLUMNS: [&str; 8] = ["TPR", "TNR", "PPV", "NPV", "F1", "Accuracy", "Balanced accuracy", "MCC"];

/// Table 2, images.
pub(super) const IMAGES: [PaperRow; 2] = [
    PaperRow {
        set: "Paper, all images (1.7 % positive)",
        cells: [
            Computed("77.2"),
            Computed("80.1"),
            Printed("6.41"),
            Printed("99.50"),
            Printed("11.8"),
            Printed("80.01"),
            Printed("78.6"),
            Printed("18.4"),
        ],
        note: "TPR and TNR here follow from the printed accuracy, balanced accuracy and prevalence.",
    },
    PaperRow {
        set: "Paper, \"balanced\" (images of 104 + 104 cases)",
        cells: [
            Missing,
            Missing,
            Printed("13.78"),
            Printed("98.67"),
            Computed("23.1"),
            Computed("77.6"),
            Printed("77.42"),
            Computed("25.9"),
        ],
        note: "The printed PPV and NPV are impossible for as many positive as negative images; they fit all images of as many \
               negative as positive cases, which is our case-balanced set.",
    },
];

/// Table 3, cases.
pub(super) const CASES: [PaperRow; 4] = [
    PaperRow {
        set: "Paper, 104 : 419, BLSTM-256",
        cells: [
            Printed("57.75 or 59.01"),
            Missing,
            Missing,
            Missing,
            Missing,
            Printed("79.18"),
            Printed("71.4 to 71.6"),
            Missing,
        ],
        note: "The table's two sets give different TPR for the same positives. The balanced accuracy is that of all three sizes.",
    },
    PaperRow {
        set: "Paper, 104 : 104, BLSTM-256",
        cells: [Missing, Missing, Missing, Missing, Missing, Printed("70.92"), Printed("70.92"), Missing],
        note: "",
    },
    PaperRow {
        set: "Paper, 104 : 104, BLSTM-128 (its best)",
        cells: [Missing, Missing, Missing, Missing, Missing, Printed("71.06"), Printed("71.06"), Missing],
        note: "",
    },
    PaperRow {
        set: "Always negative on the paper's 104 : 419",
        cells: [
            Computed("0"),
            Computed("100"),
            Missing,
            Computed("80.1"),
            Computed("0"),
            Computed("80.1"),
            Computed("50"),
            Computed("0"),
        ],
        note: "Above the paper's best accuracy: accuracy on an uneven set says little.",
    },
];

/// What must be said under both tables.
pub(super) const REMARKS: [&str; 3] = [
    "The paper's column \"AUC\" is (TPR + TNR) / 2 to the last digit, that is balanced accuracy of hard answers, and stands here under \
     that name. The area under the ROC curve is a column of its own, which the paper does not have.",
    "Figures in square brackets were computed from the paper's, the others are printed there; a dash is a figure not quoted here.",
    "Salehinejad et al., Deep sequential learning for cervical spine fracture detection on computed tomography imaging, ISBI 2021 \
     (arXiv 2010.13336): 3,666 CT studies of one hospital, 7 folds.",
];

#[cfg(test)]
mod tests {
    use crate::evaluation::{Confusion, predictive_values};

    #[test]
    fn what_is_called_computed_follows_from_what_is_printed() {
        // Natural images: prevalence 2,913 of 167,762, accuracy 80.01, balanced accuracy 78.64.
        let p: f64 = 2913.0 / (2913.0 + 164_849.0);
        let tnr = (0.8001 - 2.0 * p * 0.7864) / (1.0 - 2.0 * p);
        let tpr = 2.0 * 0.7864 - tnr;
        assert!((tpr - 0.772).abs() < 1e-3 && (tnr - 0.801).abs() < 1e-3, "{tpr} {tnr}");
        let [ppv, npv] = predictive_values(tpr, tnr, p);
        assert!((ppv.expect("defined") - 0.0641).abs() < 2e-4 && (npv.expect("defined") - 0.995).abs() < 2e-4);
        let never = Confusion { tp: 0.0, fn_: 104.0, fp: 0.0, tn: 419.0 };
        assert!((never.accuracy().expect("cases") - 0.801).abs() < 5e-4);
    }
}
