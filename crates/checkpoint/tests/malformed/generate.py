"""Makes the malformed files beside it; `python3 generate.py` in this folder. No input, no chance."""
import json
import struct

DECODER = {"generator": "lstm", "feature": 1, "embedding": 1, "hidden": 1, "vocabulary": 1, "tanh_c": False}
SHAPES = [("projection.weight", [1, 1]), ("projection.bias", [1]), ("embedding.weight", [1, 1]),
          ("lstm.input", [1, 4]), ("lstm.hidden", [1, 4]), ("lstm.bias", [4]),
          ("output.weight", [1, 1]), ("output.bias", [1])]
expected = {}


def write(name, data, message):
    with open(name, "wb") as out:
        out.write(data)
    expected[name] = message


def checkpoint(change=lambda header: None, data=bytes(68)):
    header = {"__metadata__": {
        "format": "neuraltalk", "format_version": "1", "decoder": json.dumps(DECODER), "vocabulary": '["."]',
        "features": '{"name":"f","dimension":1}', "dataset": "d", "params": "{}", "iteration": "0", "epoch": "0.0",
        "scores": "{}"}}
    at = 0
    for name, shape in SHAPES:
        size = 4
        for n in shape:
            size *= n
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [at, at + size]}
        at += size
    change(header)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def metadata(key, value):
    return lambda header: header["__metadata__"].__setitem__(key, value)


def tensor(name, **fields):
    return lambda header: header[name].update(fields)


write("good.safetensors", checkpoint(), "")
write("header_length_lies.safetensors", struct.pack("<Q", 2**40 - 1) + b"{" + bytes(20), "is cut off: 1099511627783 bytes expected, 29 found")
write("header_not_json.safetensors", struct.pack("<Q", 8) + b"{nothing", "broken safetensors header: key must be a string at line 1 column 2")
write("header_nested.safetensors", struct.pack("<Q", 4004) + b'{"a":' + b"[" * 3999, "broken safetensors header: ")
write("no_metadata.safetensors", checkpoint(lambda h: h.pop("__metadata__")), "not a neuraltalk checkpoint: format is not stated")
write("other_framework.safetensors", checkpoint(metadata("format", "pt")), "not a neuraltalk checkpoint: format is `pt`")
write("newer_version.safetensors", checkpoint(metadata("format_version", "99")), "has format version 99, this program reads up to 2")
write("overlap.safetensors", checkpoint(tensor("projection.bias", data_offsets=[0, 4])), "broken safetensors header: ")
write("hole.safetensors", checkpoint(tensor("output.bias", data_offsets=[68, 72]), bytes(72)), "broken safetensors header: ")
write("backwards.safetensors", checkpoint(tensor("output.bias", data_offsets=[68, 64])), "broken safetensors header: ")
write("shape_overflows.safetensors", checkpoint(tensor("output.bias", shape=[2**63, 2])), "broken safetensors header: ")
write("unknown_type.safetensors", checkpoint(tensor("output.bias", dtype="F33")), "broken safetensors header: ")
write("integers.safetensors", checkpoint(tensor("output.bias", dtype="I32")), "tensor `output.bias` is stored as I32, expected F32 (or F16, BF16, F64)")
write("huge_decoder.safetensors", checkpoint(metadata("decoder", json.dumps({**DECODER, "hidden": 2**62}))), "`decoder` has sizes (D, E, H, V) = [1, 1, 4611686018427387904, 1], each must be 1 to 268435456")
write("no_words.safetensors", checkpoint(metadata("vocabulary", "[]")), "0 words, the decoder has a vocabulary of 1")
write("missing_tensor.safetensors", checkpoint(lambda h: h.pop("output.bias"), bytes(64)), "tensor `output.bias` is missing, the model needs it as [1]")
write("cut_off.safetensors", checkpoint(data=bytes(67)), " is cut off: ")

ARRAY = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR(I1\n%scnumpy\ndtype\n(S'%s'\nI0\nI1\ntR(I3\nS'<'\nNNNI-1\nI-1\nI0\ntbI00\n%stb."
write("only_a_model.p", b"(dS'model'\n" + (ARRAY % (b"(I1\nt", b"f4", b"S'\\0\\0\\0\\0'\n"))[:-1] + b"s.", "key `ixtoword` is missing, there is model")
write("eval.p", b"c__builtin__\neval\n(S'1'\ntR.", "byte 0: refers to `__builtin__.eval`, only numpy arrays and plain data are read")
write("stack_global.p", b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x02id\x85R.", "byte 17: refers to `posix.system`")
write("instance.p", b"(S'id'\nios\nsystem\n.", "byte 7: refers to `os.system`")
write("newobj.p", b"\x80\x02cnumpy\nndarray\n)\x81.", "byte 18: opcode NEWOBJ builds objects")
write("persistent_id.p", b"(dS'a'\nPfile\ns.", "opcode PERSID")
write("contains_itself.p", b"(lp0\ng0\na.", "a container contains itself")
write("nested.p", b"(" + b"(" * 300 + b"t" * 300 + b"t.", "nested more than 100 deep")
write("string_length_lies.p", b"(T\xff\xff\xff\x7fabc", "the pickle is cut off: 2147483647 bytes expected, 3 left")
write("negative_length.p", b"(T\x80\x80\x80\x80abc", "length -2139062144")
write("array_too_large.p", b"(" + ARRAY % (b"(I4096\nI4096\nt", b"f8", b"S'abcdefgh'\n"), "array [4096, 4096] of <f8 does not fit its 8 bytes")
write("array_overflows.p", b"(" + ARRAY % (b"(I4611686018427387904\nI4611686018427387904\nt", b"f8", b"S''\n"), "of <f8 does not fit its 0 bytes")
write("array_negative.p", b"(" + ARRAY % (b"(I-1\nt", b"f8", b"S''\n"), "array size is -1")
write("object_array.p", b"(" + ARRAY % (b"(I1\nt", b"O8", b"(lNa"), "dtype `O8` is not read")
write("records.p", b"(" + ARRAY % (b"(I1\nt", b"V16", b"S''\n"), "dtype `V16` is not read")
write("unfilled_array.p", b"(dS'ixtoword'\n(dI0\nS'.'\nssS'params'\n(dsS'model'\n(dS'We'\ncnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntRss.", "model `We` is an unfilled numpy array, expected an array")
write("protocol_9.p", b"\x80\x09}.", " is no checkpoint: it starts with `\\x80\\t}.`")
write("text_of_surrogates.p", b"(V\\ud800\n.", "U+D800 is no character")
write("not_a_dictionary.p", b"(I1\nI2\nt.", "expected a dictionary with `ixtoword`, found a tuple")

with open("expected.json", "w") as out:
    json.dump(expected, out, indent=1, sort_keys=True)
    out.write("\n")
