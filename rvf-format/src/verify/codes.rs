//! Codes of a QUANT against the rows that they stand for (QNT-2).

use crate::payload::quant::{CODE_SQ4, QuantView};
use crate::storage::Bytes;
use crate::{Dtype, Metric, Schema};

/// The largest signed byte that is a code; the smallest is its negative.
const LARGEST: f64 = 127.0;

/// Works out the codes of rows, as the specification says, and compares.
pub(super) struct Coder {
    schema: Schema,
    step: f64,
    offsets: Vec<f64>,
    components: Vec<f64>,
    projection: Option<Projection>,
}

/// MAP, and for each of its rows the sum of the magnitudes.
struct Projection {
    map: Bytes,
    magnitudes: Vec<f64>,
}

impl Coder {
    pub(super) fn new(schema: &Schema, quant: &QuantView) -> Self {
        let mut offsets: Vec<f64> = quant.offsets().into_iter().map(f64::from).collect();
        offsets.resize(schema.dimension as usize, 0.0);
        let projection = (quant.facts().code == CODE_SQ4).then(|| Projection::new(quant.map(), schema));
        Self { schema: *schema, step: f64::from(quant.step()), offsets, components: Vec::new(), projection }
    }

    /// Whether `code` is the code row of the stored `row`, as near as QNT-2 asks for.
    pub(super) fn fits(&mut self, row: &[u8], code: &[u8]) -> bool {
        decode(self.schema.dtype, row, &mut self.components);
        if self.schema.metric == Metric::Cosine {
            let length = self.components.iter().map(|x| x * x).sum::<f64>().sqrt();
            self.components.iter_mut().for_each(|x| *x /= length);
        }
        self.components.iter_mut().zip(&self.offsets).for_each(|(x, offset)| *x -= offset);
        match &self.projection {
            None => self.fit_bytes(code),
            Some(projection) => projection.fits(&self.components, self.step, code),
        }
    }

    fn fit_bytes(&self, code: &[u8]) -> bool {
        let Some((codes, rest)) = code.split_at_checked(self.components.len()) else { return false };
        let near = |(x, code): (&f64, &u8)| {
            let expected = (x / self.step).round_ties_even().clamp(-LARGEST, LARGEST);
            let code = f64::from(code.cast_signed());
            code >= -LARGEST && (code - expected).abs() <= 1.0
        };
        self.components.iter().zip(codes).all(near) && rest.iter().all(|byte| *byte == 0)
    }
}

impl Projection {
    fn new(map: &Bytes, schema: &Schema) -> Self {
        let sum = |row: &[u8]| row.iter().map(|m| f64::from(m.cast_signed()).abs()).sum();
        let magnitudes = map.chunks_exact(schema.dimension.max(1) as usize).map(sum).collect();
        Self { map: map.clone(), magnitudes }
    }

    fn fits(&self, components: &[f64], step: f64, code: &[u8]) -> bool {
        let unit = components.iter().fold(0f64, |most, x| most.max(x.abs())) / LARGEST;
        let low = code.iter().map(|byte| byte & 15);
        let codes = low.chain(code.iter().map(|byte| byte >> 4));
        let rows = self.map.chunks_exact(components.len().max(1)).zip(&self.magnitudes);
        let near = |((row, magnitudes), code): ((&[u8], &f64), u8)| {
            let y: f64 = row.iter().zip(components).map(|(m, x)| f64::from(m.cast_signed()) * x).sum();
            let expected = ((y / step).floor() + 8.0).clamp(0.0, 15.0);
            let rounding = (unit * magnitudes / (2.0 * step)).ceil();
            (f64::from(code) - expected).abs() <= 1.0 + rounding
        };
        rows.zip(codes).all(near)
    }
}

/// The components of a row of numbers; none of bits.
fn decode(dtype: Dtype, row: &[u8], components: &mut Vec<f64>) {
    components.clear();
    match dtype {
        Dtype::F32 => components.extend(row.as_chunks::<4>().0.iter().map(|c| f64::from(f32::from_le_bytes(*c)))),
        Dtype::F16 => components.extend(row.as_chunks::<2>().0.iter().map(|c| half(u16::from_le_bytes(*c)))),
        Dtype::I8 => components.extend(row.iter().map(|byte| f64::from(byte.cast_signed()))),
        Dtype::U8 => components.extend(row.iter().map(|byte| f64::from(*byte))),
        Dtype::Binary => {}
    }
}

/// The value of a finite binary16.
fn half(bits: u16) -> f64 {
    let (exponent, fraction) = (u32::from(bits >> 10 & 31), f64::from(bits & 0x3FF));
    // In units of 2^-24, the smallest positive binary16; whole numbers, so exact on every machine, which `powi` is not said to be.
    let units = match exponent {
        0 => fraction,
        _ => (1024.0 + fraction) * f64::from(1u32 << (exponent - 1)),
    };
    let value = units / f64::from(1u32 << 24);
    if bits >> 15 == 1 { -value } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_have_their_values() {
        let cases = [
            (0x0000, 0.0),
            (0x3C00, 1.0),
            (0xC000, -2.0),
            (0x7BFF, 65504.0),
            (0x0001, 1.0 / 16_777_216.0),
            (0x0400, 1.0 / 16_384.0),
            (0x83FF, -1023.0 / 16_777_216.0),
            (0x3555, 1365.0 / 4096.0),
        ];
        for (bits, value) in cases {
            assert_eq!(half(bits), value, "{bits:04x}");
        }
    }

    fn coder(metric: Metric, step: f64, offsets: [f64; 2]) -> Coder {
        let schema = Schema::new(2, metric);
        Coder { schema, step, offsets: offsets.into(), components: Vec::new(), projection: None }
    }

    fn fits(coder: &mut Coder, row: [f32; 2], code: [i8; 3]) -> bool {
        let row: Vec<u8> = row.iter().flat_map(|x| x.to_le_bytes()).collect();
        coder.fits(&row, &code.map(i8::cast_unsigned))
    }

    #[test]
    fn a_code_is_that_of_its_row_or_next_to_it() {
        let mut l2 = coder(Metric::L2, 0.5, [0.0, 10.0]);
        assert!(fits(&mut l2, [3.0, 3.0], [6, -14, 0]));
        assert!(fits(&mut l2, [3.0, 3.0], [7, -15, 0]));
        assert!(!fits(&mut l2, [3.0, 3.0], [8, -14, 0]));
        assert!(!fits(&mut l2, [3.0, 3.0], [6, -12, 0]));
        assert!(!fits(&mut l2, [3.0, 3.0], [6, -14, 1]));
        // 1.25 is 2.5 steps: the even neighbour is 2, and 4 is too far from it.
        assert!(fits(&mut l2, [1.25, 10.0], [1, 0, 0]));
        assert!(!fits(&mut l2, [1.25, 10.0], [4, 0, 0]));
    }

    #[test]
    fn codes_end_at_127_on_both_sides() {
        let mut dot = coder(Metric::Dot, 1e-3, [0.0; 2]);
        assert!(fits(&mut dot, [f32::MAX, -f32::MAX], [127, -127, 0]));
        assert!(!fits(&mut dot, [f32::MAX, -f32::MAX], [127, -128, 0]));
    }

    #[test]
    fn cosine_rows_have_length_one() {
        let mut cosine = coder(Metric::Cosine, 0.01, [0.0; 2]);
        assert!(fits(&mut cosine, [3.0, 4.0], [60, 80, 0]));
        assert!(fits(&mut cosine, [3e30, 4e30], [60, 80, 0]));
        assert!(!fits(&mut cosine, [3.0, 4.0], [60, 82, 0]));
        assert!(!cosine.fits(&[0; 8], &[]));
    }

    #[test]
    fn projected_codes_are_those_of_their_row() {
        // y is (3 x, x - 2 y, 0, 127 y) of x and y.
        let map = Bytes::from([3, 0, 1, -2, 0, 0, 0, 127].map(i8::cast_unsigned).to_vec());
        let schema = Schema::new(2, Metric::L2);
        let mut coder = coder(Metric::L2, 1.0, [1.0, 0.0]);
        coder.projection = Some(Projection::new(&map, &schema));
        // Of (2.5, 0.25): x' is (1.5, 0.25), y (4.5, 1, 0, 31.75), codes (12, 9, 8, 15): bytes of codes 0 and 2, 1 and 3.
        let row: Vec<u8> = [2.5f32, 0.25].iter().flat_map(|x| x.to_le_bytes()).collect();
        assert!(coder.fits(&row, &[12 | 8 << 4, 9 | 15 << 4]));
        // A unit is 1.5 / 127: off by 1 and by what rounding may do, which is 1 more.
        assert!(coder.fits(&row, &[14 | 8 << 4, 9 | 15 << 4]));
        assert!(!coder.fits(&row, &[15 | 8 << 4, 9 | 15 << 4]));
        assert!(!coder.fits(&row, &[12 | 8 << 4, 12 | 15 << 4]));
        assert!(!coder.fits(&row, &[12 | 8 << 4, 9 | 8 << 4]));
    }
}
