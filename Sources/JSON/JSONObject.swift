/// The members of a JSON object: in the order of the text, keys told apart by their UTF-8 bytes.
///
/// Swift's `String ==` holds "é" in one scalar and "é" in two for equal; a vocabulary does not, so no dictionary of strings is used here.
public struct JSONObject: Sendable {
    /// Every member, in order.
    public var members: [(key: String, value: JSONValue)]

    /// An object of these members; their keys should differ.
    public init(_ members: [(key: String, value: JSONValue)] = []) {
        self.members = members
    }

    /// The value of a key. Setting nil removes the member, setting a new key appends it. Linear in the number of members.
    public subscript(key: String) -> JSONValue? {
        get { index(of: key).map { members[$0].value } }
        set {
            switch (index(of: key), newValue) {
            case (let index?, let value?): members[index].value = value
            case (let index?, nil): members.remove(at: index)
            case (nil, let value?): members.append((key, value))
            case (nil, nil): break
            }
        }
    }

    private func index(of key: String) -> Int? {
        members.firstIndex { $0.key.utf8.elementsEqual(key.utf8) }
    }
}

extension JSONObject: Equatable {
    /// Whether both hold the same members in the same order.
    public static func == (left: JSONObject, right: JSONObject) -> Bool {
        left.members.elementsEqual(right.members) { $0.key.utf8.elementsEqual($1.key.utf8) && $0.value == $1.value }
    }
}
