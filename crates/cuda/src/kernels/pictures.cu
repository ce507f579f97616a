// Decoded pictures to what an encoder reads: `data::picture::Preprocessing`, with a random crop and mirror image in the lists.
//
// A picture's head: where its bytes begin, its width, where its lines begin. List 2 p size + y is of row y of picture p, list
// (2 p + 1) size + x of its column x: from starts[list] to starts[list + 1], rows (columns) of the picture and their weights.

#define HEAD 3

// line (size, width, 3) of every picture: its rows weighed and summed. A block takes a row of the result.
extern "C" __global__ void picture_lines(const unsigned char *bytes, const u32 *heads, const u32 *starts, const u32 *sources,
                                         const float *weights, float *lines, u32 pictures, u32 size) {
    for (u32 row = blockIdx.x; row < pictures * size; row += gridDim.x) {
        u32 picture = row / size, y = row % size, list = 2 * picture * size + y;
        const u32 *head = heads + HEAD * picture;
        u32 width = 3 * head[1];
        for (u32 j = threadIdx.x; j < width; j += BLOCK) {
            float sum = 0.0f;
            for (u32 t = starts[list]; t < starts[list + 1]; t++)
                sum += weights[t] * (float)bytes[head[0] + (u64)sources[t] * width + j];
            lines[head[2] + (u64)y * width + j] = sum;
        }
    }
}

// pixels (pictures, size, size, 3): columns of the lines weighed and summed; rounded to 0 .. 255 if asked.
extern "C" __global__ void picture_columns(const float *lines, const u32 *heads, const u32 *starts, const u32 *sources,
                                           const float *weights, float *pixels, u32 pictures, u32 size, u32 rounded) {
    EACH(i, (u64)pictures * size * size * 3) {
        u32 channel = i % 3, x = i / 3 % size, y = i / 3 / size % size, picture = i / 3 / size / size;
        u32 list = (2 * picture + 1) * size + x;
        const u32 *head = heads + HEAD * picture;
        const float *line = lines + head[2] + (u64)y * 3 * head[1];
        float sum = 0.0f;
        for (u32 t = starts[list]; t < starts[list + 1]; t++) sum += weights[t] * line[3 * sources[t] + channel];
        pixels[i] = rounded ? limit(floorf(sum + 0.5f), 0.0f, 255.0f) : sum;
    }
}

// Contrast and brightness of each picture (colours (pictures, 2)), then (x - mean) scale; channel c comes from 2 - c if they are
// reversed. A block takes a picture.
extern "C" __global__ void picture_colours(float *pixels, const double *colours, u32 pictures, u32 size, u32 reversed, float m0,
                                           float m1, float m2, float s0, float s1, float s2) {
    const float mean[3] = {m0, m1, m2}, scale[3] = {s0, s1, s2};
    u32 count = size * size;
    for (u32 picture = blockIdx.x; picture < pictures; picture += gridDim.x) {
        float *p = pixels + (u64)picture * count * 3;
        double contrast = colours[2 * picture], brightness = colours[2 * picture + 1];
        bool changed = contrast != 1.0 || brightness != 1.0;
        double sum = 0.0;
        for (u32 i = threadIdx.x; changed && i < 3 * count; i += BLOCK) sum += p[i];
        sum = block_sum(sum);
        float slope = (float)(contrast * brightness);
        float shift = (float)(sum / (3.0 * count) * (1.0 - contrast) * brightness);
        for (u32 i = threadIdx.x; i < count; i += BLOCK) {
            float x[3];
            for (u32 c = 0; c < 3; c++) {
                float y = p[3 * i + c];
                x[c] = changed ? limit(y * slope + shift, 0.0f, 255.0f) : y;
            }
            for (u32 c = 0; c < 3; c++) p[3 * i + c] = (x[reversed ? 2 - c : c] - mean[c]) * scale[c];
        }
    }
}
