//! The gates of recurrent layers, one row of one time step a call: the parts of a row are arguments of their own, so
//! that the compiler knows that they do not overlap. All have the same length.

use super::{math, multiversion};

multiversion! {
    /// r, z and n hold the input's side and become the gates; `hidden` is the hidden side (r, z, n):
    /// r = sigmoid(r + hidden_r), z = sigmoid(z + hidden_z), n = tanh(n + r hidden_n),
    /// h = (1 - z) n + z previous.
    pub fn gru(r: &mut [f32], z: &mut [f32], n: &mut [f32], hidden: [&[f32]; 3], previous: &[f32], h: &mut [f32]) {
        let gates = r.iter_mut().zip(z).zip(n).zip(hidden[0]).zip(hidden[1]).zip(hidden[2]);
        for (((((((r, z), n), hr), hz), hn), previous), h) in gates.zip(previous).zip(h) {
            *r = math::sigmoid(*r + hr);
            *z = math::sigmoid(*z + hz);
            *n = math::tanh(r.mul_add(*hn, *n));
            *h = z.mul_add(previous - *n, *n);
        }
    }

    /// r, z and n hold the gates and become the gradient with respect to the input's side before the functions;
    /// hr, hz and hn hold the hidden side and become the gradient with respect to it. `dh` is the gradient with
    /// respect to h; what goes straight to the previous h is added to `dprevious`.
    pub fn gru_backward(
        r: &mut [f32], z: &mut [f32], n: &mut [f32], hr: &mut [f32], hz: &mut [f32], hn: &mut [f32],
        previous: &[f32], dh: &[f32], dprevious: &mut [f32],
    ) {
        let gates = r.iter_mut().zip(z).zip(n).zip(hr).zip(hz).zip(hn);
        for ((((((((r, z), n), hr), hz), hn), previous), dh), dprevious) in gates.zip(previous).zip(dh).zip(dprevious) {
            *dprevious = dh.mul_add(*z, *dprevious);
            let dn = dh * (1.0 - *z) * (-*n).mul_add(*n, 1.0);
            let dz = dh * (previous - *n) * *z * (1.0 - *z);
            let dr = dn * *hn * *r * (1.0 - *r);
            *hn = dn * *r;
            (*r, *z, *n) = (dr, dz, dn);
            (*hr, *hz) = (dr, dz);
        }
    }

    /// i, f, g and o hold the sums and become the gates; c = f previous + i g, h = o tanh(c).
    pub fn lstm(
        i: &mut [f32], f: &mut [f32], g: &mut [f32], o: &mut [f32],
        previous: &[f32], c: &mut [f32], tanh_c: &mut [f32], h: &mut [f32],
    ) {
        let gates = i.iter_mut().zip(f).zip(g).zip(o);
        for (((((((i, f), g), o), previous), c), tanh_c), h) in gates.zip(previous).zip(c).zip(tanh_c).zip(h) {
            *i = math::sigmoid(*i);
            *f = math::sigmoid(*f);
            *g = math::tanh(*g);
            *o = math::sigmoid(*o);
            *c = f.mul_add(*previous, *i * *g);
            *tanh_c = math::tanh(*c);
            *h = *o * *tanh_c;
        }
    }

    /// i, f, g and o hold the gates and become the gradient with respect to their sums. `dh` is the gradient with
    /// respect to h, `dc` that with respect to c from the next step, and becomes that for the previous one.
    pub fn lstm_backward(
        i: &mut [f32], f: &mut [f32], g: &mut [f32], o: &mut [f32],
        previous: &[f32], tanh_c: &[f32], dh: &[f32], dc: &mut [f32],
    ) {
        let gates = i.iter_mut().zip(f).zip(g).zip(o);
        for (((((((i, f), g), o), previous), tanh_c), dh), dc) in gates.zip(previous).zip(tanh_c).zip(dh).zip(dc) {
            let own = (dh * *o).mul_add((-*tanh_c).mul_add(*tanh_c, 1.0), *dc);
            let d_o = dh * tanh_c * *o * (1.0 - *o);
            let d_i = own * *g * *i * (1.0 - *i);
            let d_g = own * *i * (-*g).mul_add(*g, 1.0);
            *dc = own * *f;
            *f = own * previous * *f * (1.0 - *f);
            (*i, *g, *o) = (d_i, d_g, d_o);
        }
    }
}
