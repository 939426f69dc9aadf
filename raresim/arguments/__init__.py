"""What a user gives, checked: types, arrays, numbers as text, did-you-mean."""
