//! Matrix products of the layers that learn, on the CPU: the one place that calls the `gemm` crate.
//!
//! A product here runs on the calling thread; the callers split their work over the current rayon pool. (candle's own
//! matmul asks for as many jobs as the machine has cores, whatever the pool.)

use std::marker::PhantomData;
use std::ops::Range;

/// A matrix inside a slice: element `(row, column)` lies at `row * row_stride + column * column_stride`.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a> {
    values: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a> Matrix<'a> {
    pub(super) fn row_major(values: &'a [f32], rows: usize, columns: usize) -> Self {
        assert!(rows * columns <= values.len(), "{rows} x {columns} do not fit into {} values", values.len());
        Self { values, rows, columns, row_stride: columns, column_stride: 1 }
    }

    pub(super) fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }
}

/// A row-major matrix of which tasks write disjoint blocks at the same time.
pub(super) struct SharedMatrix<'a> {
    start: *mut f32,
    rows: usize,
    columns: usize,
    owner: PhantomData<&'a mut [f32]>,
}

// SAFETY: the pointer is only reached through `block`, whose caller promises that no two blocks overlap.
unsafe impl Sync for SharedMatrix<'_> {}

impl<'a> SharedMatrix<'a> {
    pub(super) fn new(values: &'a mut [f32], rows: usize, columns: usize) -> Self {
        assert_eq!(rows * columns, values.len(), "shape of the product");
        Self { start: values.as_mut_ptr(), rows, columns, owner: PhantomData }
    }

    /// # Safety
    /// Blocks that are alive at the same time must not overlap.
    pub(super) unsafe fn block(&self, rows: Range<usize>, columns: Range<usize>) -> Block<'a> {
        assert!(rows.start <= rows.end && rows.end <= self.rows, "rows of the block");
        assert!(columns.start <= columns.end && columns.end <= self.columns, "columns of the block");
        // An empty matrix has no element to point at.
        let offset = if rows.is_empty() { 0 } else { rows.start * self.columns + columns.start };
        Block {
            // SAFETY: the ranges lie inside the matrix, so the offset lies inside its allocation.
            start: unsafe { self.start.add(offset) },
            rows: rows.len(),
            columns: columns.len(),
            row_stride: self.columns,
            owner: PhantomData,
        }
    }
}

/// One block of a [`SharedMatrix`].
pub(super) struct Block<'a> {
    start: *mut f32,
    rows: usize,
    columns: usize,
    row_stride: usize,
    owner: PhantomData<&'a mut [f32]>,
}

impl Block<'_> {
    /// `self = left * right`.
    pub(super) fn set_product(&mut self, left: Matrix<'_>, right: Matrix<'_>) {
        assert_eq!((left.rows, right.columns), (self.rows, self.columns), "shape of the product");
        assert_eq!(left.columns, right.rows, "inner length of the product");
        // SAFETY: `Matrix::row_major` and `SharedMatrix::block` checked that every element lies inside its slice, this
        // block is not shared, and strides of slices fit isize.
        unsafe {
            gemm::gemm(
                self.rows,
                self.columns,
                left.columns,
                self.start,
                1,
                self.row_stride as isize,
                false,
                left.values.as_ptr(),
                left.column_stride as isize,
                left.row_stride as isize,
                right.values.as_ptr(),
                right.column_stride as isize,
                right.row_stride as isize,
                1.0,
                1.0,
                false,
                false,
                false,
                gemm::Parallelism::None,
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn multiply(out: &mut [f32], left: Matrix<'_>, right: Matrix<'_>) {
        let shared = SharedMatrix::new(out, left.rows, right.columns);
        // SAFETY: the only block.
        unsafe { shared.block(0..left.rows, 0..right.columns) }.set_product(left, right);
    }

    #[test]
    fn product_by_hand_and_transposed() {
        let left = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let right = [1.0, 0.0, 2.0, 1.0, 0.0, 3.0];
        let mut out = [0.0; 4];
        multiply(&mut out, Matrix::row_major(&left, 2, 3), Matrix::row_major(&right, 3, 2));
        assert_eq!(out, [5.0, 11.0, 14.0, 23.0]);
        let mut out = [0.0; 9];
        multiply(&mut out, Matrix::row_major(&left, 2, 3).transposed(), Matrix::row_major(&right, 3, 2).transposed());
        assert_eq!(out, [1.0, 6.0, 12.0, 2.0, 9.0, 15.0, 3.0, 12.0, 18.0]);
    }
}
