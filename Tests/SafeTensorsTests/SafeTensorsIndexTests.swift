import Foundation
import SafeTensors
import Testing

@Suite struct SafeTensorsIndexTests {
    let directory: TemporaryDirectory

    init() throws {
        directory = try TemporaryDirectory()
        for name in ["a", "b"] {
            _ = try directory.file("\(name).safetensors", container("{\"\(name)\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", data: 1))
        }
    }

    private func open(_ weightMap: String) throws -> [SafeTensorsFile] {
        let path = try directory.file("model.safetensors.index.json", Array("{\"metadata\":{\"total_size\":2},\"weight_map\":\(weightMap)}".utf8))
        return try SafeTensorsIndex(opening: path).open()
    }

    private func refuse(_ weightMap: String, saying words: String, _ location: SourceLocation = #_sourceLocation) {
        do {
            _ = try open(weightMap)
            Issue.record("accepted", sourceLocation: location)
        } catch {
            #expect("\(error)".contains(words), "\(error)", sourceLocation: location)
        }
    }

    @Test func shardsAreOpened() throws {
        let files = try open(#"{"b":"b.safetensors","a":"a.safetensors"}"#)
        #expect(files.flatMap { $0.tensors.map(\.name) } == ["a", "b"])
    }

    @Test func onlyPlainNamesAreOpened() {
        let names = [
            "../a.safetensors", "/etc/a.safetensors", "C:\\\\a.safetensors", "\\\\\\\\srv\\\\a.safetensors", "x/../../b.safetensors", "a.bin",
            ".a.safetensors",
            "C:a.safetensors", "sub/a.safetensors", "a.safetensors\\n.safetensors", "", "..",
        ]
        for name in names { refuse("{\"a\":\"\(name)\"}", saying: "not a plain name") }
    }

    @Test func theMapIsAnObjectOfStrings() {
        refuse("[]", saying: "weight_map")
        refuse("{}", saying: "empty")
        refuse(#"{"a":1}"#, saying: "not a string")
        refuse(#"{"a":"a.safetensors","a":"b.safetensors"}"#, saying: "twice")
    }

    @Test func theMapAndTheShardsMustAgree() {
        refuse(#"{"a":"a.safetensors","b":"missing.safetensors"}"#, saying: "missing")
        refuse(#"{"a":"a.safetensors","b":"a.safetensors"}"#, saying: "does not hold it")
        refuse(#"{"c":"a.safetensors"}"#, saying: "not listed")
        refuse(#"{"a":"b.safetensors","b":"b.safetensors"}"#, saying: "does not hold it")
    }

    @Test func aTensorInTwoShardsIsRefused() throws {
        _ = try directory.file(
            "c.safetensors",
            container(#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"c":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}"#, data: 1))
        refuse(#"{"a":"a.safetensors","c":"c.safetensors"}"#, saying: "listed")
    }

    @Test func namesThatSomeFileSystemsHoldForOneAreRefused() {
        refuse(#"{"a":"a.safetensors","b":"A.safetensors"}"#, saying: "case")
        refuse("{\"a\":\"\u{E9}.safetensors\",\"b\":\"e\u{301}.safetensors\"}", saying: "accents")
    }

    @Test func anIndexBeyondTenMiBIsRefused() throws {
        let path = try directory.file(
            "big.json", Array("{\"weight_map\":{\"a\":\"a.safetensors\"}}".utf8) + [UInt8](repeating: 0x20, count: 10 << 20))
        #expect(throws: SafeTensorsError.self) { try SafeTensorsIndex(opening: path) }
    }

    @Test func aLinkThatLeavesTheDirectoryIsRefused() throws {
        let outside = try TemporaryDirectory()
        let target = try outside.file("x.safetensors", container(#"{"x":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}"#))
        try FileManager.default.createSymbolicLink(atPath: directory.path + "/x.safetensors", withDestinationPath: target)
        refuse(#"{"x":"x.safetensors"}"#, saying: "leaves the directory")
        try FileManager.default.createSymbolicLink(atPath: directory.path + "/loop.safetensors", withDestinationPath: "loop.safetensors")
        refuse(#"{"x":"loop.safetensors"}"#, saying: "cannot open")
        try FileManager.default.createSymbolicLink(atPath: directory.path + "/inner.safetensors", withDestinationPath: "a.safetensors")
        #expect(try open(#"{"a":"inner.safetensors"}"#).count == 1)
    }

    @Test func theHubsCacheIsOpened() throws {
        let manager = FileManager.default
        let snapshot = directory.path + "/snapshots/abc"
        try manager.createDirectory(atPath: snapshot, withIntermediateDirectories: true)
        try manager.createDirectory(atPath: directory.path + "/blobs", withIntermediateDirectories: true)
        try manager.moveItem(atPath: directory.path + "/a.safetensors", toPath: directory.path + "/blobs/0123")
        try manager.createSymbolicLink(atPath: snapshot + "/a.safetensors", withDestinationPath: "../../blobs/0123")
        let index = try directory.file("snapshots/abc/index.json", Array(#"{"weight_map":{"a":"a.safetensors"}}"#.utf8))
        #expect(try SafeTensorsIndex(opening: index).open().count == 1)
    }
}
